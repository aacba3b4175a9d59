"""Services that start trainings, on this machine: each checks of a request what the real one checks, and answers alike.

GitHub and GitLab as their references describe them, Airflow as release 3.3.2 does.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs

TOKEN = "a-token-that-nobody-may-see"
#: What GitHub allows in an event.
PROPERTIES, KILOBYTES = 10, 64


class Service(BaseHTTPRequestHandler):
    """A service; `spoilt` are answers that are sent first: status, headers, body, seconds to wait."""

    spoilt: ClassVar[deque[tuple[int, dict[str, str], str, float]]] = deque()
    #: The trainings that were started, and the number of requests.
    started: ClassVar[list[dict[str, Any]]] = []
    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer a question."""
        self._handle(b"")

    def do_POST(self) -> None:
        """Answer a request to start something."""
        self._handle(self.rfile.read(int(self.headers["Content-Length"])))

    def _handle(self, body: bytes) -> None:
        self.requests.append(f"{self.command} {self.path}")
        if self.spoilt:
            status, headers, text, seconds = self.spoilt.popleft()
            time.sleep(seconds)
            self._send(status, text, headers)
            return
        status, answer = self.answer(body)
        self._send(status, json.dumps(answer) if answer is not None else "")

    def answer(self, body: bytes) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        raise NotImplementedError

    def authorized(self) -> bool:
        """Whether the request has the token."""
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(text.encode())
        except BrokenPipeError:  # who asked has gone
            return

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class GitHub(Service):
    """POST /repos/{owner}/{repo}/dispatches."""

    def answer(self, body: bytes) -> tuple[int, Any]:
        """Check the request, and start a training."""
        if not self.authorized():
            return 401, {"message": "Bad credentials", "status": "401"}
        if self.path != "/repos/ada/titanic/dispatches":
            return 404, {"message": "Not Found", "status": "404"}
        content = json.loads(body)
        payload = content.get("client_payload", {})
        valid = set(content) <= {"event_type", "client_payload"} and 0 < len(content.get("event_type", "")) <= 100
        if not valid or not isinstance(payload, dict) or len(payload) > PROPERTIES or len(body) > KILOBYTES * 1024:
            return 422, {"message": "Invalid request.", "status": "422"}
        if not self.headers.get("User-Agent") or self.headers["Accept"] != "application/vnd.github+json":
            return 403, {"message": "Request forbidden by administrative rules."}
        self.started.append(content)
        return 204, None


class GitLab(Service):
    """POST /projects/{id}/trigger/pipeline."""

    def answer(self, body: bytes) -> tuple[int, Any]:
        """Check the request, and start a training."""
        form = {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        if self.path != "/api/v4/projects/ada%2Ftitanic/trigger/pipeline" or form.get("token") != TOKEN:
            return 404, {"message": "404 Not Found"}
        if form.get("ref") not in ("main", "production"):
            return 400, {"message": {"base": ["Reference not found"]}}
        wrong = [key for key in form if key not in ("token", "ref") and not re.fullmatch(r"variables\[\w+\]", key)]
        if wrong:
            return 400, {"error": f"{wrong[0]} is invalid"}
        self.started.append(form)
        return 201, {"id": 257, "web_url": "https://gitlab.example.com/ada/titanic/-/pipelines/257"}


class Airflow(Service):
    """POST /auth/token, GET /api/v2/dags/{dag}, POST /api/v2/dags/{dag}/dagRuns."""

    paused: ClassVar[bool] = False
    KEYS = frozenset({"dag_run_id", "data_interval_start", "data_interval_end", "logical_date", "run_after", "conf"})

    def answer(self, body: bytes) -> tuple[int, Any]:
        """Check the request, and start a training."""
        content = json.loads(body or b"{}")
        if self.path == "/auth/token":
            if content != {"username": "ada", "password": "a long password"}:
                return 401, {"detail": "Invalid credentials"}
            return 201, {"access_token": TOKEN}
        if not self.authorized():
            return 403, {"detail": "Invalid JWT token"}
        if not self.path.startswith("/api/v2/dags/titanic"):
            return 404, {"detail": "The Dag with ID: `other` was not found"}
        if self.command == "GET":
            return 200, {"dag_id": "titanic", "is_paused": self.paused}
        if "logical_date" not in content:
            return 422, {"detail": [{"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required"}]}
        if extra := set(content) - self.KEYS - {"note", "partition_key"}:
            return 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", *extra]}]}
        if content["dag_run_id"] in [run["dag_run_id"] for run in self.started]:
            return 409, {"detail": {"reason": "Unique constraint violation"}}
        self.started.append(content)
        return 200, {"dag_run_id": content["dag_run_id"], "state": "queued"}


class Webhook(Service):
    """Anything that takes JSON."""

    def answer(self, body: bytes) -> tuple[int, Any]:
        """Check the request, and start a training."""
        self.started.append({"body": json.loads(body), "headers": dict(self.headers)})
        return 202, None


@contextmanager
def serving(kind: type[Service], context: ssl.SSLContext | None = None, **attributes: Any) -> Iterator[tuple[str, Any]]:
    """Run a service until the block ends, by TLS with a context; yield its address, and the class with its requests."""
    made = type(kind.__name__, (kind,), {"spoilt": deque(), "started": [], "requests": [], **attributes})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", made
    finally:
        server.shutdown()
        server.server_close()
