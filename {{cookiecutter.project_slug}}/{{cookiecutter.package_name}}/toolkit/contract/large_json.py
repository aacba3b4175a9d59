"""Large JSON bodies, parsed in pieces, so that other threads run meanwhile.

A native parser holds Python's global lock until it has finished, which is a second for 16 MB. Here a scan with NumPy
finds the elements of the outer lists and objects, and the parser gets some of them at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic_core import from_json

#: Bytes that are parsed at a time: some milliseconds.
PIECE_BYTES = 65_536
#: Levels of lists and objects that are parsed in pieces; rows are at the third, their vectors at the fifth.
MAX_LEVELS = 6
#: Nested lists and objects, as many as the parser takes too.
MAX_DEPTH = 200
#: What each byte adds to the depth.
STEPS = np.zeros(256, np.int8)
STEPS[list(b"[{")], STEPS[list(b"]}")] = 1, -1
CLOSING = {b"[": b"]", b"{": b"}"}
KEY = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:', re.DOTALL)
SPACE = b" \t\n\r"


class TooManyElementsError(Exception):
    """A body with more elements than a limit."""


def parse(body: bytes, max_elements: int, max_containers: int) -> Any:
    """Return what a JSON body holds.

    Raises:
        ValueError: if it is no JSON.
        TooManyElementsError: for more elements in the outermost list, or lists and objects in all, than the limits;
            they are counted before anything is parsed.
    """
    _check_counts(body, max_elements, max_containers)
    return _value(body, 0, len(body), 0)


def _check_counts(body: bytes, max_elements: int, max_containers: int) -> None:
    elements, containers = int(body.lstrip()[:1] == b"["), 0
    for commas, opened, depth in _scan(body, 0, len(body)):
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} nested lists or objects")
        elements += len(commas) if elements else 0
        containers += opened
        if elements > max_elements or containers > max_containers:
            raise TooManyElementsError


def _scan(body: bytes, start: int, end: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield of one piece after the other the outermost commas, the lists and objects that begin in it, and its depth.

    The commas are the positions of those between the elements of one list or object, which begins at `start`.
    """
    depth, in_text = 0, False
    while start < end:
        piece = body[start : min(start + PIECE_BYTES, end)]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2 and len(piece) > 1:
            piece = piece[:-1]  # what is escaped is in the next piece
        # Of the same length, without escaped quotes.
        codes = np.frombuffer(piece.replace(b"\\\\", b"__").replace(b'\\"', b"__"), np.uint8)
        inside = np.logical_xor.accumulate(codes == ord('"')) ^ in_text
        in_text = bool(inside[-1])
        steps = np.where(inside, 0, STEPS[codes])
        depths = np.cumsum(steps, dtype=np.int32) + depth
        depth = int(depths[-1])
        commas = np.flatnonzero((codes == ord(",")) & ~inside & (depths == 1)) + start
        yield commas, int(np.count_nonzero(steps == 1)), int(depths.max())
        start += len(piece)


def _value(body: bytes, start: int, end: int, level: int) -> Any:
    """Return the value between two positions."""
    text = body[start:end].strip(SPACE)
    if len(text) <= PIECE_BYTES or text[:1] not in CLOSING:
        return _from_json(body, start, end)
    start = body.index(text[:1], start)
    end = start + len(text)
    opening = text[:1]
    if text[-1:] != CLOSING[opening]:
        raise ValueError("EOF while parsing a list or an object")
    if level == MAX_LEVELS:
        raise ValueError(f"more than {PIECE_BYTES} bytes in {MAX_LEVELS} nested lists or objects")
    whole: Any = [] if opening == b"[" else {}
    begin = start + 1
    for commas, _, _ in _scan(body, start, end):
        # An element that began in an earlier piece may be large, so it is taken alone.
        for comma in (*commas[:1].tolist(), *commas[-1:].tolist()):
            if comma > begin - 1:
                _add(whole, body, begin, comma, level)
                begin = comma + 1
    if begin > start + 1 or body[begin : end - 1].strip(SPACE):  # else it is empty
        _add(whole, body, begin, end - 1, level)
    return whole


def _add(whole: Any, body: bytes, start: int, end: int, level: int) -> None:
    """Add the elements between two positions to a list, or the members to a dict."""
    if not body[start:end].strip(SPACE):
        raise ValueError("expected value " + _place(body, end))
    is_list = isinstance(whole, list)
    if end - start <= 2 * PIECE_BYTES:
        part = _from_json(body, start, end, b"[]" if is_list else b"{}")
        whole.extend(part) if is_list else whole.update(part)
    elif is_list:
        whole.append(_value(body, start, end, level + 1))
    else:
        key = KEY.match(body[start : start + PIECE_BYTES])
        if key is None:
            raise ValueError("key must be a string " + _place(body, start))
        whole[from_json(key[1])] = _value(body, start + key.end(), end, level + 1)


def _from_json(body: bytes, start: int, end: int, brackets: bytes = b"") -> Any:
    text = brackets[:1] + body[start:end] + brackets[1:]
    try:
        return from_json(text)
    except ValueError as error:
        found = re.search(r"(.*) at line (\d+) column (\d+)$", str(error))
        if not found:
            raise
        lines = text.split(b"\n")[: int(found[2])]
        offset = sum(len(line) + 1 for line in lines[:-1]) + int(found[3]) - len(brackets[:1])
        raise ValueError(f"{found[1]} {_place(body, min(start + offset, end))}") from None


def _place(body: bytes, position: int) -> str:
    line = body.rfind(b"\n", 0, position) + 1
    return f"at line {body.count(chr(10).encode(), 0, position) + 1} column {position - line}"
