"""A running service tested against its own OpenAPI document by schemathesis, with broken requests, and overloaded."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import Project, call, free_port, running

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TOKEN = "a-token-of-enough-letters"
BEARER = f"Bearer {TOKEN}"
#: Rows that one request may have: so few that one more is soon sent.
MAX_ROWS, MAX_WAITING = 20, 5

#: Puts a second version into a store, the champion: its rows have fields of every kind, and it predicts NaN.
KINDS = """
import json
from pathlib import Path
from typing import Annotated, Literal
import numpy as np
from pydantic import BaseModel, Field
from {package} import config, model
from {package}.toolkit.version import artifact
from {package}.toolkit.version.contents import Contents
from {package}.toolkit.contract.columns import as_records
from {package}.toolkit.contract.derivation import derive
from {package}.toolkit.version.reference_profile import Profile
from {package}.toolkit.contract.json_rows import RowParser
from {package}.toolkit.version.runtime import PythonRuntime
from {package}.toolkit.release.reconcile import pull_release
from {package}.toolkit.release.store import Release, Store

class Row(BaseModel):
    above: float = Field(gt=0)
    unbounded: float
    maybe: float | None
    count: int
    few: int | None = Field(default=3, ge=1, lt=9)
    truth: bool
    maybe_truth: bool | None = None
    maybe_kind: Literal["a", "b: c"] | None = "a"
    vector: list[Annotated[float, Field(le=1)]] = Field(min_length=3, max_length=3)

class Prediction(BaseModel):
    amount: float = Field(ge=0)
    truth: bool
    count: int
    parity: Literal["even", "odd"]
    probabilities: list[float] = Field(min_length=2, max_length=2)

class Model:
    def predict(self, frame):
        even = frame["count"].to_numpy() % 2 == 0
        return {{
            "amount": np.where(even, np.nan, -1.5),
            "truth": even,
            "count": frame["count"].to_numpy(),
            "parity": np.where(even, "even", "odd"),
            "probabilities": np.column_stack([even, np.full(len(frame), np.nan)]),
        }}

settings = config.settings()
contract, store = derive(Row, Prediction), Store(settings.store)
pull_release(settings.mlflow_tracking_uri, settings.model_name, store)
row = {{"above": 1, "unbounded": -2.5, "maybe": None, "count": 4, "truth": True, "vector": [0, 0.5, 1]}}
rows = [row, row | {{"count": 5, "few": None, "maybe_kind": None, "maybe_truth": False}}]
_, columns = RowParser(contract).parse(json.dumps(rows).encode())
predictions = PythonRuntime(Model(), contract).score(columns)
label = predictions["amount"]
contents = Contents(
    contract=contract,
    model=Model(),
    onnx=None,
    example=artifact.Example(rows=rows, predictions=as_records(predictions, contract)),
    background=columns,
    profile=Profile.of(contract, training=columns, holdout=columns, predictions=predictions, label=label),
    details={{"trained": "2026-01-01T00:00:00Z", "metrics": {{}}, "data": {{}}}} | dict.fromkeys(
        ("commit", "runtime", "runtime_note"), ""
    ),
    card="",
    lock=Path("requirements/dev.lock"),
)
contents.save(store.path(2), model)
store.write(Release.now(settings.model_name, 2, {{1: ("frozen",), 2: ("champion",)}}))
print(json.dumps(rows))
"""


class Service(NamedTuple):
    """A running service."""

    url: str
    port: int
    #: Rows that the champion takes.
    rows: list[dict[str, Any]]
    #: Rows that version 1 takes.
    frozen: list[dict[str, Any]]
    project: Project
    #: Logs in the project's folder that are not this service's.
    others: set[Path]

    def log(self) -> str:
        """Return what it has logged."""
        [path] = set(self.project.path.glob("*.log")) - self.others
        return path.read_text()

    def ask(self) -> tuple[int, Any]:
        """Return status and content of the response to one request for predictions."""
        return call(f"{self.url}/predict", self.rows, BEARER)


@pytest.fixture(scope="module")
def service(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with two versions whose rows are different, and with AUTH=token."""
    folder, port = tmp_path_factory.mktemp("schema"), free_port()
    (folder / "tokens").write_text(TOKEN)
    settings = {"AUTH": "token", "TOKENS": folder / "tokens", "STORE": folder / "store", "LOG_FOLDER": folder / "log"}
    settings |= {"PORT": port, "MAX_ROWS": MAX_ROWS, "MAX_WAITING": MAX_WAITING}
    env = {name: str(value) for name, value in settings.items()}
    rows = trained.python(KINDS.format(package=trained.package), **env)
    frozen = json.loads((folder / "store/versions/1/example.json").read_text())["rows"]
    command = [str(trained.path / ".venv/bin/python"), "-m", trained.package, "serve", "--no-pull"]
    others, url = set(trained.path.glob("*.log")), f"http://127.0.0.1:{port}"
    with running(command, f"{url}/readyz", trained.path, trained.env | env):
        yield Service(url, port, rows, frozen, trained, others)


def test_service_keeps_to_its_document_whatever_it_is_sent(service: Service, tmp_path: Path) -> None:
    ids = {}
    for path, rows in (("predict", service.rows), ("versions/1/predict", service.frozen[:1])):
        prediction = call(f"{service.url}/{path}", rows, BEARER)[1][0]
        ids[next(iter(prediction))] = prediction["id"]
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")]
    done = subprocess.run(
        [*command, "run", f"{service.url}/docs.json", "--header", f"Authorization: {BEARER}", "--no-color"],
        cwd=tmp_path,
        env=os.environ | {"HOOKS": str(HERE / "schemathesis_hooks.py"), "IDS": json.dumps(ids)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    paths = call(f"{service.url}/docs.json", authorization=BEARER)[1]["paths"]
    assert f"Tested: {sum(len(operations) for operations in paths.values())}\n" in done.stdout


#: Requests that are cut off or break HTTP: the rest of the head, and the body.
BROKEN = {
    "less than announced": (b"content-length: 999\r\n", b"[{"),
    "more than announced": (b"content-length: 2\r\n", b"[]garbage"),
    "a chunk cut off": (b"transfer-encoding: chunked\r\n", b"5\r\n[{"),
    "a chunk without a length": (b"transfer-encoding: chunked\r\n", b"five\r\n[]"),
    "two lengths": (b"content-length: 2\r\ncontent-length: 3\r\n", b"[]"),
    "compressed": (b"content-encoding: gzip\r\ncontent-length: 20\r\n", gzip.compress(b"")),
}
HEAD = "POST /{} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nauthorization: " + BEARER + "\r\n"
POST_PATHS = ["predict", "explain", "feedback", "invocations", "v2/models/titanic-survival/infer"]


@pytest.mark.parametrize(("head", "rest"), BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("path", POST_PATHS)
def test_broken_request_does_not_affect_other_callers(service: Service, path: str, head: bytes, rest: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as caller:
        caller.sendall(HEAD.format(path).encode() + head + b"\r\n" + rest)
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(100)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 202")
    assert service.ask()[0] == 200


@pytest.mark.parametrize("path", POST_PATHS)
def test_caller_who_disconnects_early_does_not_affect_others(service: Service, path: str) -> None:
    body = json.dumps(service.rows).encode()
    request = HEAD.format(path).encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as caller:
        caller.sendall(request * 3)
    assert service.ask()[0] == 200


@pytest.mark.alone
def test_overloaded_service_rejects_what_is_too_much_at_once_and_recovers(service: Service) -> None:
    callers, each = 30, 20
    answers: list[tuple[int, float, str | None, Any]] = []
    together = threading.Barrier(callers)
    body, headers = json.dumps(service.rows), {"Authorization": BEARER}

    def call_again_and_again() -> None:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.connect()
        together.wait()
        for _ in range(each):
            start = time.monotonic()
            connection.request("POST", "/predict", body, headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            answers.append((answer.status, time.monotonic() - start, answer.getheader("retry-after"), content))
        connection.close()

    threads = [threading.Thread(target=call_again_and_again) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = Counter(status for status, *_ in answers)
    assert set(statuses) == {200, 429}, statuses
    assert sum(statuses.values()) == callers * each
    for status, seconds, again, content in answers:
        if status == 429:
            assert again == "1"
            assert "MAX_WAITING" in content["error"]
            assert seconds < 2
    assert [service.ask()[0] for _ in range(20)] == [200] * 20


def test_no_request_has_left_a_traceback_in_the_log(service: Service) -> None:
    assert "Traceback" not in service.log()
