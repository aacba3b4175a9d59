"""Lambda's side of its runtime API, on loopback: hands events to a function, and takes its answers."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "/2018-06-01/runtime"


class Runtime:
    """The runtime API of one function; `address` is what AWS_LAMBDA_RUNTIME_API is set to."""

    def __init__(self) -> None:
        self.address = ""
        self._events: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        #: Set as soon as the function asks for its first event: its cold start is over.
        self.ready = threading.Event()
        self.ready_at = 0.0

    def invoke(self, event: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Return the function's answer to an event."""
        request = uuid.uuid4().hex
        self._events.put((request, json.dumps(event).encode()))
        answered, answer = self._answers.get(timeout=seconds)
        assert answered == f"{VERSION}/invocation/{request}/response", f"{answered}: {answer}"
        return dict(answer)

    def next(self) -> tuple[str, bytes] | None:
        """Return an event as soon as there is one, None after a while without."""
        if not self.ready.is_set():
            self.ready_at = time.monotonic()
            self.ready.set()
        try:
            return self._events.get(timeout=30)
        except queue.Empty:
            return None

    def take(self, path: str, body: bytes) -> None:
        """Take an answer, or an error."""
        self._answers.put((path, json.loads(body or b"null")))


def event(method: str, path: str, body: Any = None, *, url: bool = False, **headers: str) -> dict[str, Any]:
    """Return an event as an HTTP API sends it (payload format 2.0), or with `url` as a function URL does."""
    host = "x.lambda-url.eu-central-1.on.aws" if url else "x.execute-api.eu-central-1.amazonaws.com"
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"}
    sent = {"host": host, "x-forwarded-proto": "https", "x-forwarded-port": "443"}
    context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "x",
        "domainName": host,
        "domainPrefix": "x",
        "http": http,
    }
    context |= {"requestId": "1", "routeKey": "$default", "stage": "$default", "timeEpoch": 1_700_000_000_000}
    event = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "isBase64Encoded": False}
    if body is not None:
        sent["content-type"] = "application/json"
        event["body"] = json.dumps(body)
    if not url:
        event["pathParameters"] = {"proxy": path[1:]}
    return event | {"headers": sent | headers, "requestContext": context}


@contextmanager
def runtime_api() -> Iterator[Runtime]:
    """Serve the runtime API until the block ends."""
    state = Runtime()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            assert self.path == f"{VERSION}/invocation/next", self.path
            found = None
            while found is None:
                found = state.next()
            request, body = found
            headers = {
                "Lambda-Runtime-Aws-Request-Id": request,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 60) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:x",
                "Lambda-Runtime-Trace-Id": "Root=1-0-0",
                "Content-Type": "application/json",
            }
            self._answer(200, body, headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.take(self.path, body)
            self._answer(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.address = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
