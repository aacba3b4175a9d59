"""The Authorization header of requests to a service of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import PreparedRequest


def authorized(header: str) -> Callable[[PreparedRequest], PreparedRequest]:
    """Return the `auth` of a request with an Authorization header, without one if that is "".

    A function, since `requests` would replace a plain header by the credentials that ~/.netrc may have for the host.
    """

    def authorize(request: PreparedRequest) -> PreparedRequest:
        if header:
            request.headers["Authorization"] = header
        return request

    return authorize
