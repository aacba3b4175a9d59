"""A request is data: one line each, redacted, of limited length; the same rules make the same reason."""

from titanic_survival.toolkit.retraining.request import MOST_RULES, MOST_TEXT, Request


def test_texts_are_one_line_and_short() -> None:
    request = Request.of("m\n", 1, f"a\nb\x1b[2J {10_000 * 'x'}", [f"{i}\n{1000 * 'y'}" for i in range(99)], 999 * "r")
    assert "\n" not in "".join(map(str, request)) and "\x1b" not in "".join(map(str, request))
    assert request.reason.startswith("a b?[2J ") and len(request.reason) < 510
    assert len(request.rules) == MOST_RULES and max(map(len, (*request.rules, request.run))) == MOST_TEXT


def test_secrets_are_redacted() -> None:
    request = Request.of("m", 1, "see https://ada:secret@example.com/x", ["at s3://b/x?token=secret"])
    assert "secret" not in str(request)


def test_key_is_of_the_rules() -> None:
    first = Request.of("m", 1, "a", ["one", "two"], "r")
    assert first.key == Request.of("other", 2, "b", ["two", "one", "one"], "s").key
    assert first.key != first._replace(rules=("one",)).key
