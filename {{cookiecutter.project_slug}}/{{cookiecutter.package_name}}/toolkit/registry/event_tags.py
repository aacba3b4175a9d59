"""Events as tags of the registered model or of a version: one tag for each, so that parallel writers lose nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..common.tag_text import parsed

Kind = TypeVar("Kind", bound=tuple[Any, ...])
"""A kind of event: a `NamedTuple` whose fields are the keys of the JSON in a tag."""


def moment(now: datetime) -> str:
    """Return what follows the prefix of a tag: it sorts by time, and differs for two writers at one moment."""
    return f"{now:%Y%m%dT%H%M%S.%f}.{secrets.token_hex(4)}"


def recorded(kind: type[Kind], tags: Mapping[str, str], prefix: str) -> dict[str, Kind | None]:
    """Return the events in the tags with a prefix, oldest first; None where somebody has damaged one."""
    return {key: read(kind, tags[key]) for key in sorted(tags) if key.startswith(prefix)}


def read(kind: type[Kind], text: str) -> Kind | None:
    """Return the event in the text of a tag, None if somebody has damaged it; keys of later releases are left out."""
    content = parsed(text)
    try:
        event: Kind = _adapter(kind).validate_python(
            {name: content[name] for name in kind.__annotations__}, strict=True
        )
    except (KeyError, ValidationError):
        return None
    return event


@cache
def _adapter(kind: type[Kind]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
