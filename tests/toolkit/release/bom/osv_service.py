"""An advisory service on this machine that speaks OSV's protocol, with the advisories that a test gives it.

As a program, it takes a port and a JSON file with a list of advisories.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

Advisory = dict[str, Any]


def advisory(
    name: str, package: str, version: str, *, fixed: str = "", ecosystem: str = "PyPI", **more: Any
) -> Advisory:
    """Return an advisory about one version of a package."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {
        "package": {"ecosystem": ecosystem, "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "versions": [version],
    }
    return {"id": name, "modified": "2026-01-01T00:00:00Z", "schema_version": "1.7.0", "affected": [affected], **more}


class Service(BaseHTTPRequestHandler):
    """What the service answers; `spoilt` are answers that are sent first: status, headers, body, seconds to wait."""

    advisories: ClassVar[dict[str, Advisory]] = {}
    spoilt: ClassVar[deque[tuple[int, dict[str, str], bytes, float]]] = deque()
    asked: ClassVar[list[tuple[str, str]]] = []
    #: Advisories in one page of an answer.
    page = 1000

    def do_POST(self) -> None:
        """Answer which advisories there are about some packages."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._spoilt() or self.path != "/v1/querybatch":
            return
        queries = json.loads(body)["queries"]
        if any("version" not in query or set(query["package"]) != {"ecosystem", "name"} for query in queries):
            self._answer(400, {"code": 3, "message": "Invalid query."})
        else:
            self._answer(200, {"results": [self._result(query) for query in queries]})

    def do_GET(self) -> None:
        """Answer an advisory."""
        if self._spoilt():
            return
        found = self.advisories.get(self.path.removeprefix("/v1/vulns/"))
        self._answer(200 if found else 404, found or {"code": 5, "message": "Bug not found."})

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        ids = [
            name
            for name, one in self.advisories.items()
            for affected in one["affected"]
            if affected["package"] == query["package"] and query["version"] in affected["versions"]
        ]
        start = int(query.get("page_token", 0))
        following = start + self.page
        result: dict[str, Any] = {"vulns": [{"id": name} for name in ids[start:following]]} if ids else {}
        return result | ({"next_page_token": str(following)} if following < len(ids) else {})

    def _spoilt(self) -> bool:
        self.asked.append((self.command, self.path))
        if not self.spoilt:
            return False
        status, headers, body, seconds = self.spoilt.popleft()
        time.sleep(seconds)
        self._send(status, headers, body)
        return True

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(*advisories: Advisory, port: int = 0, page: int = 1000) -> Iterator[tuple[str, type[Service]]]:
    """Run the service until the block ends; yield its address, and the class whose attributes it answers from."""
    kind = type(
        "Service",
        (Service,),
        {"advisories": {one["id"]: one for one in advisories}, "spoilt": deque(), "asked": [], "page": page},
    )
    server = ThreadingHTTPServer(("127.0.0.1", port), kind)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kind
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with serving(*json.loads(Path(sys.argv[2]).read_text()), port=int(sys.argv[1])):
        while True:
            time.sleep(60)
