"""Which content types are taken: those that a page of another origin cannot send without being allowed to."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from ..common.errors import RejectedError
from .asgi import header

#: The types that a page may send anywhere (the Fetch standard's CORS-safelisted ones).
UNSAFE = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}


def check_json(scope: Scope, *, but: tuple[str, ...] = ()) -> None:
    """Raise `RejectedError` (415) unless a request has JSON, or one of the other types.

    A type may be missing, except in a browser, which names the page's origin.
    """
    given = header(scope, b"content-type")
    if given == b"application/json":
        return
    kind = given.partition(b";")[0].strip().lower().decode("latin-1")
    if kind == "application/json" or kind in but or kind.endswith("+json"):
        return
    if kind or header(scope, b"origin"):
        raise RejectedError(415, f"content type {kind[:60]!r}: send the header 'Content-Type: application/json'")


def check_origin(scope: Scope) -> None:
    """Raise `RejectedError` (415) for a type that a page of another origin may send; endpoints may take any type."""
    origin = urlsplit(header(scope, b"origin").decode("latin-1")).netloc
    kind = header(scope, b"content-type").partition(b";")[0].strip().lower().decode("latin-1")
    if header(scope, b"origin") and origin != header(scope, b"host").decode("latin-1") and kind in {*UNSAFE, ""}:
        raise RejectedError(415, f"content type {kind!r} from a page of another origin")
