"""A stand-in for AWS: moto's server, a process of its own, behind a front that adds what moto has none of.

moto keeps models, endpoint configurations, endpoints, tags, alarms, repositories, functions and objects of S3, and
checks what its API says of them. The front adds: the states that an endpoint goes through, UpdateEndpoint, blue/green
deployments that fail and are undone, invocations (which go to a container, or to a function), the address of an image
registry, and errors on demand.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REGION = "eu-central-1"
USER, PASSWORD = "AWS", "a-token-of-twelve-hours"
#: As an image registry's file of users has it.
PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuurt/0iwRIakmUgrmo9ikrXzGiYFRruXe"
#: What boto3 reads; `.invalid` files, so that nobody's own profile is used.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}
Answer = Callable[[bytes, str], tuple[int, bytes]]
"""Answers the body of an invocation, with SageMaker's custom attributes, with a status and a body."""


class StandIn:
    """The state of the front; `url` is what AWS_ENDPOINT_URL is set to."""

    def __init__(self, moto: str) -> None:
        self.moto, self.url = moto, ""
        self._clients: dict[str, Any] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything, moto too."""
        urllib.request.urlopen(urllib.request.Request(f"{self.moto}/moto-api/reset", method="POST"), timeout=30).close()
        #: Operations called, such as "CreateModel", and the arguments of those that the front looks at.
        self.calls: list[str] = []
        self.updates: list[dict[str, Any]] = []
        #: Statuses that DescribeEndpoint gives before the last one.
        self.statuses: deque[str] = deque()
        #: Statuses that the next creations and updates go through, and the reasons for which they fail.
        self.on_create, self.on_update = ["Creating"], ["Updating"]
        self.failures: deque[str] = deque()
        self.reason = ""
        self.last = ""
        #: By operation: errors to answer with, each once; the last one of the list stays if it is marked so.
        self.errors: dict[str, list[tuple[int, str, str]]] = {}
        self.answer: Answer = lambda body, attributes: (500, b"no container")
        #: Answers an event of Lambda, of a path with the version, with an error ("" if none) and a payload.
        self.function: Callable[[Any, str], tuple[str, Any]] = lambda event, path: ("Unhandled", "no function")
        self.registry = "registry.example.com"

    def client(self, service: str) -> Any:
        """Return a client that talks to moto itself; making one takes a while, so each is kept."""
        import boto3

        if service in self._clients:
            return self._clients[service]
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self._clients[service] = boto3.client(service, endpoint_url=self.moto, region_name=REGION, **keys)
        return self._clients[service]

    def fail(self, operation: str, code: str, words: str, *, status: int = 400, times: int = 20) -> None:
        """Have an operation answer with an error."""
        self.errors[operation] = [(status, code, words)] * times

    def handle(self, operation: str, body: bytes) -> tuple[int, bytes] | None:
        """Return the answer of the front to an operation, None for one that moto answers."""
        self.calls.append(operation)
        if self.errors.get(operation):
            status, code, words = self.errors[operation].pop()
            return status, json.dumps({"__type": code, "message": words, "Message": words}).encode()
        arguments = json.loads(body) if body[:1] == b"{" else {}
        if operation == "GetAuthorizationToken":
            token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            data = {"authorizationToken": token, "proxyEndpoint": f"https://{self.registry}", "expiresAt": 2e9}
            return 200, json.dumps({"authorizationData": [data]}).encode()
        if operation == "CreateEndpoint":
            self._begin(self.on_create, "Failed")
        elif operation == "UpdateEndpoint":
            return self._update(arguments)
        elif operation == "DeleteEndpoint":
            self.reason = self.last = ""
        return None

    def changed(self, operation: str, answer: bytes) -> bytes:
        """Return the answer of moto with what the front knows better."""
        if operation != "DescribeEndpoint":
            return answer
        found = json.loads(answer)
        if self.statuses:
            found["EndpointStatus"] = self.statuses.popleft()
            if found["EndpointStatus"] == "Updating":
                variant = {"VariantName": "main", "VariantStatus": [{"Status": "Baking"}]}
                pending = {"EndpointConfigName": "new", "ProductionVariants": [variant]}
                found["PendingDeploymentSummary"] = pending
        elif self.last:
            found["EndpointStatus"] = self.last
        if self.reason:
            found["FailureReason"] = self.reason
        return json.dumps(found).encode()

    def _begin(self, statuses: list[str], failed: str) -> bool:
        """Begin a creation or an update, and return whether it is one that fails."""
        self.statuses = deque(statuses)
        self.reason = self.failures.popleft() if self.failures else ""
        self.last = failed if self.reason else ""
        return bool(self.reason)

    def _update(self, arguments: dict[str, Any]) -> tuple[int, bytes]:
        """Do what SageMaker's UpdateEndpoint does, which moto has none of."""
        self.updates.append(arguments)
        name, configuration = arguments["EndpointName"], arguments["EndpointConfigName"]
        if self.statuses:
            words = f"Cannot update in-progress endpoint {name}."
            return 400, json.dumps({"__type": "ValidationException", "message": words}).encode()
        # One that fails is undone: the endpoint is in service with its old configuration.
        if not self._begin(self.on_update, ""):
            sagemaker = self.client("sagemaker")
            sagemaker.describe_endpoint_config(EndpointConfigName=configuration)
            arn = sagemaker.describe_endpoint(EndpointName=name)["EndpointArn"]
            tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
            sagemaker.delete_endpoint(EndpointName=name)
            sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=configuration, Tags=tags)
        return 200, b'{"EndpointArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/x"}'


def _handler(state: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two packets; without this the second waits 40 ms for the first to be acknowledged.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = _chunks(self.rfile)
            if match := re.fullmatch(r"/endpoints/([^/]+)/(async-)?invocations", self.path):
                return self._invoke(match[2], body)
            if re.fullmatch(r"/2015-03-31/functions/[^/]+/invocations(\?.*)?", self.path):
                error, content = state.function(json.loads(body), self.path)
                headers = {"X-Amz-Function-Error": error} if error else {}
                return self._send(200, json.dumps(content).encode(), {"X-Amz-Executed-Version": "1", **headers})
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if not operation:
                form = re.search(rb"(?:^|&)Action=(\w+)", body)
                operation = form[1].decode() if form else f"{self.command} {self.path.partition('?')[0]}"
            answer = state.handle(operation, body)
            if answer is None:
                status, content, headers = self._forward(body)
                content = state.changed(operation, content) if status == 200 else content
            else:
                (status, content), headers = answer, {"Content-Type": "application/x-amz-json-1.1"}
            self._send(status, content, headers)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

        def _invoke(self, asynchronous: str, body: bytes) -> None:
            operation = "InvokeEndpointAsync" if asynchronous else "InvokeEndpoint"
            if error := state.handle(operation, b""):
                return self._send(*error, {"x-amzn-ErrorType": json.loads(error[1])["__type"]})
            attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
            json_type = {"Content-Type": "application/json"}
            if not asynchronous:
                status, content = state.answer(body, attributes)
                if status == 200:
                    return self._send(200, content, json_type)
                words = f'Received error ({status}) from primary with message "{content.decode()[:200]}".'
                error_body = json.dumps({"Message": words, "OriginalStatusCode": status}).encode()
                return self._send(424, error_body, {"x-amzn-ErrorType": "ModelError"})
            s3 = state.client("s3")
            bucket, _, key = self.headers["X-Amzn-SageMaker-InputLocation"].removeprefix("s3://").partition("/")
            sent = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            status, content = state.answer(sent, attributes)
            output, failure = (f"s3://{bucket}/models/{kind}/1.out" for kind in ("answers", "failures"))
            place = output if status == 200 else failure
            s3.put_object(Bucket=bucket, Key=place.removeprefix(f"s3://{bucket}/"), Body=content)
            places = {"X-Amzn-SageMaker-OutputLocation": output, "X-Amzn-SageMaker-FailureLocation": failure}
            self._send(202, b'{"InferenceId": "1"}', json_type | places)

        def _forward(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
            skipped = ("transfer-encoding", "content-length", "connection")
            headers = {key: value for key, value in self.headers.items() if key.lower() not in skipped}
            request = urllib.request.Request(state.moto + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, answer.read(), dict(answer.headers)
            except urllib.error.HTTPError as error:
                return error.code, error.read(), dict(error.headers)

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                if key.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                    self.send_header(key, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Write nothing."""

    return Handler


def _chunks(file: Any) -> bytes:
    body = b""
    while size := int(file.readline().split(b";")[0], 16):
        body += file.read(size)
        file.readline()
    while file.readline().strip():  # trailers, such as a checksum
        pass
    return body


@contextmanager
def moto_server(python: str = sys.executable, port: int = 0) -> Iterator[str]:
    """Run moto's server, and yield its URL; `python` is one that has moto, port 0 is any that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    command = [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=10).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "moto's server did not start"
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def standing_in(moto: str) -> Iterator[StandIn]:
    """Run the front before an empty moto, and yield its state."""
    state = StandIn(moto)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def python_with_moto() -> str | None:
    """Return a Python that has moto: this one, or the template's own; None if neither does."""
    for python in (sys.executable, os.environ.get("TEMPLATE_PYTHON", "")):
        if python and shutil.which(python):
            look = subprocess.run([python, "-c", "import moto.server"], capture_output=True, check=False)
            if look.returncode == 0:
                return python
    return None
