"""Authentication by token: a file lists the valid tokens, and may change at any time."""

import asyncio
import base64
import os
import secrets
from hmac import compare_digest
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.common.errors import RejectedError, UserError
from titanic_survival.toolkit.serving.auth import tokens

ONE, TWO, THREE = (secrets.token_urlsafe(32) for _ in range(3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of two tokens."""
    path = tmp_path / "tokens"
    path.write_text(f"# the shop\n{ONE}\n\n  {TWO}  # the warehouse\n")
    return path


@pytest.fixture
def authenticator(file: Path) -> tokens.TokenAuthenticator:
    found = tokens.TokenAuthenticator(file)
    found.load()
    return found


def status(authenticator: tokens.TokenAuthenticator, header: str | bytes) -> int:
    """Return 200 if a header authorizes its sender, else the status of the rejection."""
    try:
        asyncio.run(authenticator.verify(header if isinstance(header, bytes) else header.encode()))
    except RejectedError as error:
        assert ONE not in str(error)
        return error.status
    return 200


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets time pass."""
    now = [tokens.monotonic()]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0])

    def pass_by(seconds: float = tokens.CHECK_SECONDS) -> None:
        now[0] += seconds

    return pass_by


@pytest.mark.parametrize("token", [ONE, TWO])
def test_valid_token_authorizes(authenticator: tokens.TokenAuthenticator, token: str) -> None:
    for header in (f"Bearer {token}", f"bearer  {token}", basic("", token), basic("any name", token)):
        assert status(authenticator, header) == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {THREE}",
        f"Bearer {ONE[:-1]}",
        f"Bearer {ONE}x",
        f"Bearer {ONE.swapcase()}",
        f"Bearer {ONE} {TWO}",
        f"Digest {ONE}",
        ONE,
        basic(ONE, ""),
        basic("name", THREE),
        "Basic ",
        "Basic §",
        "Basic " + base64.b64encode(ONE.encode()).decode(),
        "Bearer #",
        "Bearer # the shop",
        b"Bearer \xff\x00",
    ],
)
def test_anything_else_is_rejected(authenticator: tokens.TokenAuthenticator, header: str | bytes) -> None:
    assert status(authenticator, header) == 401


def test_each_header_is_compared_with_every_token(
    authenticator: tokens.TokenAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        lengths.append((len(a), len(b)))
        return compare_digest(a, b)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    for header in (f"Bearer {ONE}", f"Bearer {TWO}", "Bearer x", "", "Bearer " + "x" * 10_000):
        lengths.clear()
        status(authenticator, header)
        assert lengths == [(32, 32)] * 2


def test_change_of_the_file_takes_effect_within_a_second(
    authenticator: tokens.TokenAuthenticator, file: Path, later: Any
) -> None:
    assert status(authenticator, f"Bearer {ONE}") == 200
    file.write_text(f"{TWO}\n{THREE}\n")
    later()
    assert [status(authenticator, f"Bearer {token}") for token in (ONE, TWO, THREE)] == [401, 200, 200]


def test_file_that_is_replaced_by_one_of_the_same_size_is_noticed(
    authenticator: tokens.TokenAuthenticator, file: Path, later: Any
) -> None:
    assert status(authenticator, f"Bearer {ONE}") == 200
    other = file.with_name("new")
    other.write_text(file.read_text().replace(ONE, THREE))
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    later()
    assert [status(authenticator, f"Bearer {token}") for token in (ONE, TWO, THREE)] == [401, 200, 200]


def test_file_is_checked_once_a_second(
    authenticator: tokens.TokenAuthenticator, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Any] = []
    monkeypatch.setattr(tokens, "file_state", lambda path: checks.append(path) or authenticator._file_state)
    later()
    for _ in range(6):
        status(authenticator, "")
        later(tokens.CHECK_SECONDS / 4 + 0.001)
    assert len(checks) == 2, "in a second and a quarter"


def gone(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_text("")


def only_comments(path: Path) -> None:
    path.write_text("# nobody\n\n")


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("spoil", [gone, empty, only_comments, no_text])
def test_without_tokens_every_request_is_rejected_and_the_problem_is_logged_once(
    authenticator: tokens.TokenAuthenticator, file: Path, later: Any, caplog: pytest.LogCaptureFixture, spoil: Any
) -> None:
    valid = file.read_text()
    spoil(file)
    for _ in range(3):
        later()
        assert status(authenticator, f"Bearer {ONE}") == status(authenticator, "") == 503
    assert [str(file) in record.message for record in caplog.records] == [True]
    file.write_text(valid)
    later()
    assert status(authenticator, f"Bearer {ONE}") == 200


def test_invalid_line_does_not_affect_other_tokens_and_is_named_in_the_log(
    authenticator: tokens.TokenAuthenticator, file: Path, later: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(f"{ONE}\nshort-secret\na name {THREE}\n")
    later()
    assert [status(authenticator, f"Bearer {t}") for t in (ONE, TWO, THREE, "short-secret")] == [200, 401, 401, 401]
    assert "line 2 has 12 characters" in caplog.text
    assert "line 3 is no token" in caplog.text
    assert "short-secret" not in caplog.text
    assert THREE not in caplog.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("", "holds no token"),
        ("# only words\n", "holds no token"),
        (f"{ONE}\nhunter2\n", "line 2 has 7 characters"),
        (f"me: {ONE}\n", "line 1 is no token"),
    ],
)
def test_invalid_file_is_reported_at_the_start_with_advice(file: Path, content: str | None, reason: str) -> None:
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(UserError, match=reason) as raised:
        tokens.TokenAuthenticator(file).load()
    command = str(raised.value).split("To add one: ")[1]
    if content is None:
        assert os.system(f"{command} 2>/dev/null") == 0
        tokens.TokenAuthenticator(file).load()
    assert ONE not in str(raised.value)
