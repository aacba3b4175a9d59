"""Requests to a service that is deployed: its health, and the release that it serves."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import requests

from ...common.authorization import authorized
from ..store import Release

#: The service checks the store every second, then loads and verifies new versions.
FOLLOW_SECONDS = 20


class ServiceClient:
    """Asks a service; `authorization` is the header that it may want."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def wait_until_served(self, address: str, release: Release) -> bool:
        """Wait until the running service serves a release; False if it fails to."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._get(f"{address}/model").json()
            except (requests.RequestException, ValueError):
                return False
            if answer.get("problem") or "released" not in answer:
                return False
            if datetime.fromisoformat(answer["released"]) == release.created:
                return True
            time.sleep(0.1)
        return False

    def model(self, address: str) -> dict[str, Any]:
        """Return what the service at an address says of its release; `requests.RequestException` if it says nothing."""
        answer = self._get(f"{address}/model")
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content

    def health(self, address: str) -> str:
        """Return the health of the service at an address in a few words."""
        try:
            ready, model = self._get(f"{address}/readyz"), self._get(f"{address}/model")
            content = model.json()
        except requests.RequestException as error:
            return f"does not answer ({type(error).__name__})"
        health = "ready" if ready.ok else f"not ready ({ready.status_code})"
        if not model.ok:
            return f"{health}, but GET /model failed ({model.status_code}: {content.get('error')})"
        return f"serves an earlier release: {content['problem']}" if content.get("problem") else health

    def _get(self, url: str) -> requests.Response:
        return requests.get(url, timeout=5, auth=authorized(self._authorization))
