"""Requests to an instance at its Unix socket, before it listens on the port."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from ..common.names import GOLDEN_KEY
from ..common.unix_sockets import connect_unix

TIMEOUT_SECONDS = 5


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = connect_unix(self._path, TIMEOUT_SECONDS)


def scores(path: Path, rows: list[dict[str, Any]], authorization: str = "") -> bool:
    """Whether the instance at a Unix socket returns a prediction for each row; False also if nothing answers there."""
    connection = _UnixConnection(path)
    headers = {"Content-Type": "application/json", "X-Key": GOLDEN_KEY}
    headers |= {"Authorization": authorization} if authorization else {}
    try:
        connection.request("POST", "/predict", json.dumps(rows), headers)
        answer = connection.getresponse()
        return answer.status == 200 and len(json.loads(answer.read())) == len(rows)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
