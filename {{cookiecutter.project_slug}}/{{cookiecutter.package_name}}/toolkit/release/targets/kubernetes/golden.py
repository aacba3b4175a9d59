"""The golden request: rows of the hold-out through the Service, before a deployment counts as good."""

from __future__ import annotations

import math
import re
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from ....common.errors import UserError
from ....version.artifact import TOLERANCE, Artifact
from .kubectl import Kubectl

FORWARD_SECONDS, REQUEST_SECONDS = 20, 5


@contextmanager
def forwarded(kubectl: Kubectl, name: str) -> Iterator[str]:
    """Have a port of this machine lead to a Service, and return its URL."""
    command = kubectl.command("port-forward", f"service/{name}", ":http", "--address=127.0.0.1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{_port(process)}"
    finally:
        process.kill()
        process.communicate()


def check(kubectl: Kubectl, name: str, champion: Artifact, version: int, authorization: str, seconds: float) -> None:
    """Raise `UserError` if the Service does not predict with a version, and keeps not doing so for a time."""
    deadline, problem = time.monotonic() + seconds, ""
    while True:
        try:
            with forwarded(kubectl, name) as url:
                problem = ask(url, champion, version, authorization)
        except UserError as error:
            problem = str(error)
        if not problem:
            return
        if time.monotonic() > deadline:
            raise UserError(f"The pods are ready, but a golden request through Service {name} failed: {problem}")
        time.sleep(1)


def ask(url: str, champion: Artifact, version: int, authorization: str) -> str:
    """Return what is wrong with the answer to rows of the hold-out, "" if nothing is."""
    rows = champion.example.rows
    try:
        path = f"{url}/versions/{version}/predict"
        answer = requests.post(path, json=rows, timeout=REQUEST_SECONDS, auth=_signed(authorization))
        if not answer.ok:
            return f"{answer.status_code} {answer.text[:300]}"
        predictions: list[dict[str, Any]] = answer.json()
    except (requests.RequestException, ValueError) as error:
        return f"no answer ({type(error).__name__})"
    served = {prediction.get("version") for prediction in predictions}
    if len(predictions) != len(rows) or served - {version}:
        return f"{len(predictions)} predictions for {len(rows)} rows, of version {served}, not of {version}"
    if not all(map(_same, champion.example.predictions, predictions)):
        return f"other predictions than version {version} gave at its training: the image has another version {version}"
    return ""


def _same(expected: dict[str, Any], predicted: dict[str, Any]) -> bool:
    """Whether a prediction is the one recorded at training, as far as numbers and labels say it."""
    for name, value in expected.items():
        if isinstance(value, float):
            if not math.isclose(value, predicted.get(name, math.nan), rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                return False
        elif isinstance(value, str | int) and predicted.get(name) != value:
            return False
    return True


def _signed(authorization: str) -> Any:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if authorization:
            request.headers["Authorization"] = authorization
        return request

    # By hand: a header alone would be replaced by what ~/.netrc may have for this host.
    return sign


def _port(process: subprocess.Popen[bytes]) -> int:
    """Return the port that kubectl listens on."""
    assert process.stdout and process.stderr
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(FORWARD_SECONDS)
    line = process.stdout.readline().decode() if ready else ""
    if match := re.search(r"127\.0\.0\.1:(\d+) ->", line):
        return int(match[1])
    process.kill()
    words = process.stderr.read().decode(errors="replace").strip()
    raise UserError(f"kubectl port-forward does not lead to the Service: {words or 'no answer'}")
