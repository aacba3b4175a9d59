"""GitHub: the event `repository_dispatch` starts the workflow that listens to it (.github/workflows/train.yml).

An event may have 10 properties and 64 KB in all; a request has 6, with limited texts. See
https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event
"""

from __future__ import annotations

import re
from typing import Any

from ..common.errors import UserError
from ..common.redaction import redact_address
from .request import Request, Start
from .sending import Service

ADDRESS = re.compile(r"(https?://.+)/repos/([^/]+/[^/]+)/dispatches/?")
CURES = {
    401: "RETRAIN_TOKEN is wrong or has expired; make a token with the permission contents: write of this repository",
    403: "the token lacks the permission contents: write of this repository, or the organization has not approved it",
    404: "there is no such repository, or the token may not see it; RETRAIN_URL is "
    "https://api.github.com/repos/OWNER/REPOSITORY/dispatches",
    422: "check RETRAIN_EVENT, which has at most 100 characters",
}


class GitHub:
    """A repository, by the address of its events."""

    name = "github"

    def __init__(self, url: str, token: str, event: str = "retrain", **options: Any) -> None:
        found = ADDRESS.fullmatch(url)
        if not found:
            raise UserError(
                f"RETRAIN_URL={redact_address(url)} is no address of a repository's events: for GitHub it is "
                "https://api.github.com/repos/OWNER/REPOSITORY/dispatches"
            )
        self._service = Service("GitHub", url, token, CURES, **options)
        self._event = event
        # An own GitHub server has its API below /api/v3.
        pages = found[1].removesuffix("/api/v3").replace("//api.github.com", "//github.com")
        self._where = f"{pages}/{found[2]}/actions"

    def start(self, request: Request, claim: str) -> Start:
        """Send the event."""
        body = {"event_type": self._event, "client_payload": request._asdict() | {"claim": claim}}
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._service.secret}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._service.send("POST", json=body, headers=headers)
        return Start(f"the event {self._event!r} was sent; its run is at {self._where}")
