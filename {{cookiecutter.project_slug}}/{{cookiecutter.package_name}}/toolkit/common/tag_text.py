"""Texts of tags: JSON of a size that every MLflow server accepts, and texts that others wrote, as one line."""

from __future__ import annotations

import json
import re
from typing import Any

from .redaction import redact

#: Older servers accept 5000 characters.
MOST = 4900
#: Characters of a text that a line shows.
SHOWN = 500
ESCAPE = re.compile(r"\\.")


def tag_json(content: dict[str, Any], key: str) -> str:
    """Return an object as JSON; the text or the list under a key is shortened until the JSON fits into a tag.

    Of a list, results of gates that have passed go first.
    """
    text = redacted_json(content)
    while len(text) > MOST and content[key]:
        content = content | {key: _shorter(content[key], len(text) - MOST)}
        text = redacted_json(content)
    return text


def redacted_json(content: dict[str, Any], *, ascii_only: bool = False) -> str:
    """Return an object as redacted JSON on one line."""
    # A byte of the command line that is no UTF-8 would fail in a database.
    text = json.dumps(content, ensure_ascii=ascii_only).encode(errors="replace").decode()
    # A secret ends at a quote: one that is escaped would lose its backslash with the secret.
    return redact(ESCAPE.sub(lambda match: "\\u0022" if match[0] == '\\"' else match[0], text))


def _shorter(value: Any, excess: int) -> Any:
    if isinstance(value, str):
        # A character is at most six in JSON, so that no cut is too long.
        return value[: min(MOST, len(value) - max(1, excess // 6))]
    index = next((i for i in reversed(range(len(value))) if value[i].get("passed")), len(value) - 1)
    return value[:index] + value[index + 1 :]


def parsed(text: str) -> dict[str, Any]:
    """Return the object in the text of a tag, empty if somebody has damaged it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def line(text: str) -> str:
    """Return a text that others wrote as one line that moves no cursor and looks like no other line."""
    flat = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return flat if len(flat) <= SHOWN else f"{flat[:SHOWN]}..."
