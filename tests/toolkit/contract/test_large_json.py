"""Large JSON bodies are parsed in pieces, with what a parser makes of the whole."""

import json
import random
from typing import Any

import pytest
from pydantic_core import from_json
from titanic_survival.toolkit.contract import large_json

NO_LIMIT = 10**9
#: What may be mistaken for structure, or for the end of a text.
TEXTS = ["", 'a"', "\\", '\\"', '[{,"', "é😀", "a" * 50]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_json, "PIECE_BYTES", 60)


def value(random: random.Random, depth: int = 0) -> Any:
    kind = random.random() if depth < 4 else 1
    if kind < 0.4:
        return [value(random, depth + 1) for _ in range(random.randint(0, 6))]
    if kind < 0.6:
        return {random.choice(TEXTS) + str(n): value(random, depth + 1) for n in range(random.randint(0, 4))}
    return random.choice([1, -2.5, None, True, *TEXTS])


def outcome(parse: Any, *given: Any) -> str:
    try:
        return repr(parse(*given))
    except ValueError:
        return "no JSON"


def test_pieces_give_what_the_whole_gives() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        body = json.dumps(value(chance), ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1])).encode()
        assert large_json.parse(body, NO_LIMIT, NO_LIMIT) == from_json(body), body


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_space_alone_is_no_element(brackets: str) -> None:
    body = (brackets[0] + " " * 500 + brackets[1]).encode()
    assert large_json.parse(body, 1, 1) == from_json(body)


def test_a_body_that_is_no_json_is_none_in_pieces_either() -> None:
    chance = random.Random(2)
    for _ in range(2000):
        body = bytearray(json.dumps(value(chance)).encode())
        body[chance.randrange(len(body))] = chance.choice(b'[]{},:"\\ 1a\n')
        given = bytes(body)
        assert outcome(large_json.parse, given, NO_LIMIT, NO_LIMIT) == outcome(from_json, given), given


def test_an_error_names_its_place_in_the_whole_body() -> None:
    body = json.dumps([{"name": n} for n in range(20)], indent=1).replace("17", "x").encode()
    with pytest.raises(ValueError) as whole:
        from_json(body)
    with pytest.raises(ValueError, match=str(whole.value)):
        large_json.parse(body, NO_LIMIT, NO_LIMIT)


def test_elements_are_counted_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps([[1, 2], {"a": [3, "[,{"]}] * 20).encode()
    assert len(large_json.parse(body, 40, 61)) == 40
    monkeypatch.setattr(large_json, "from_json", None)
    for limits in ((39, NO_LIMIT), (NO_LIMIT, 60)):
        with pytest.raises(large_json.TooManyElementsError):
            large_json.parse(body, *limits)
