"""Labels of files as a command: into the feedback log, or to a service that counts them; each once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
from starlette.testclient import TestClient
from titanic_survival import config, feedback
from titanic_survival.toolkit.analysis import label_sinks
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.scratch import alone
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.monitoring.prediction_ids import IdGenerator
from titanic_survival.toolkit.monitoring.prediction_log import LogFile, PredictionLog
from titanic_survival.toolkit.monitoring.recorder import Recorder
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_ROWS = 40
TOKEN = "a-token-of-this-test-alone-0123456789"


@pytest.fixture
def settings(trained: config.Settings, served: Path, tmp_path: Path) -> config.Settings:
    return trained.model_copy(update={"store": served, "log_folder": tmp_path / "log"})


@pytest.fixture
def routes(settings: config.Settings) -> app.Routes:
    live = LiveRelease(settings.store)
    live.load()
    recorder = Recorder(PredictionLog(LogFile(settings.log_folder, "predictions", 10**9)))
    log = LogFile(settings.log_folder, "feedback", 10**9)
    return app.Routes(Scorer(live, Limits(MAX_ROWS, 100_000), recorder), log, title="", description="")


@pytest.fixture
def predictions(routes: app.Routes, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return predictions that were answered and logged; the key of each is its position."""
    client = TestClient(app.ScoringMiddleware(routes._predict, routes))
    made = [client.post("/predict", json=[row], headers={"X-Key": str(i)}).json()[0] for i, row in enumerate(rows[:30])]
    routes.scorer.recorder.close()
    return made


@pytest.fixture
def service(routes: app.Routes) -> Iterator[str]:
    """Return the address of a service that takes feedback."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app.ScoringMiddleware(routes._predict, routes), port=port, lifespan="off", log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def recorded(settings: config.Settings) -> list[dict[str, Any]]:
    files = sorted(settings.log_folder.glob("feedback-*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def counted() -> float:
    return sum(sample.value for sample in metrics.FEEDBACK_ROWS.collect()[0].samples if sample.name.endswith("_total"))


class Labels:
    """Labels for the predictions, as many as were logged, and the file from which the command takes them."""

    def __init__(self, settings: config.Settings, ids: list[str], label: str, folder: Path, output: Any) -> None:
        self.settings, self.ids, self.label, self.folder, self._output = settings, ids, label, folder, output
        self.table = pd.DataFrame({"id": ids, label: [True] * len(ids)})

    def take(self, rows: pd.DataFrame | str, name: str = "labels.csv", **changes: Any) -> str:
        """Write rows to the file, run the command with some other settings, and return what it prints."""
        source = self.folder / name
        if isinstance(rows, str):
            source.write_text(rows)
        elif source.suffix == ".parquet":
            rows.to_parquet(source)
        else:
            rows.to_csv(source, index=False)
        self._output.readouterr()
        feedback.run(self.settings.model_copy(update=changes), str(source))
        return str(self._output.readouterr().out)


@pytest.fixture
def labels(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Labels:
    return Labels(settings, [row["id"] for row in predictions], contract.label.name, tmp_path, capsys)


def test_labels_are_written_as_the_route_writes_them_and_each_once(labels: Labels, routes: app.Routes) -> None:
    table, settings = labels.table, labels.settings
    given = json.loads(table.to_json(orient="records"))
    TestClient(app.ScoringMiddleware(routes._predict, routes)).post("/feedback", json=given[:5])
    by_route = recorded(settings)
    said = labels.take(pd.concat([table, table[:3]]), "labels.csv.gz")
    assert f"New labels:     {len(table) - 5}, now in" in said
    assert "Already known:  5 labels" in said
    assert "Repeated:       3 rows" in said
    assert "make monitor" in said
    found = recorded(settings)
    assert [{name: line[name] for name in ("id", labels.label)} for line in found] == given
    assert [list(line) for line in found] == [list(by_route[0])] * len(given)
    assert {type(line[labels.label]) for line in found} == {bool}
    assert f"Already known:  {len(table)} labels" in labels.take(table)
    assert recorded(settings) == found


def test_a_corrected_label_is_written_and_the_last_one_is_known(labels: Labels) -> None:
    actual = ("true", "false", "false", "True")
    said = [labels.take(f"id,{labels.label}\n{labels.ids[0]},{value}\n") for value in actual]
    assert ["Already known:  1 label sent before" in text for text in said] == [False, False, True, False]
    assert [line[labels.label] for line in recorded(labels.settings)] == [True, False, True]


def test_labels_join_by_the_key_of_the_caller(labels: Labels) -> None:
    said = labels.take(pd.DataFrame({"key": [3, 5, 1000], labels.label: [True, False, True]}), "labels.parquet")
    found = {line["id"]: line[labels.label] for line in recorded(labels.settings)}
    assert found == {labels.ids[3]: True, labels.ids[5]: False}
    assert "No prediction:  1 label, whose key is in no logged row" in said


def test_rows_without_a_label_yet_are_counted_and_nothing_is_written(labels: Labels) -> None:
    assert "No label yet:   2 rows without a label" in labels.take(f"key,{labels.label}\n3,\n5,\n")
    assert recorded(labels.settings) == []


def test_log_that_is_too_small_for_the_labels_is_said(labels: Labels) -> None:
    said = labels.take(labels.table, log_megabytes=0)
    assert "LOG_MEGABYTES=0: the oldest were removed. Raise it and run again." in said


def test_two_commands_at_once_are_one_too_many(labels: Labels) -> None:
    with (
        alone(labels.settings.log_folder, ""),
        pytest.raises(UserError, match="another make feedback is writing there"),
    ):
        labels.take(labels.table)
    assert recorded(labels.settings) == []


def test_rejected_rows_are_counted_and_their_file_goes_when_there_are_none(labels: Labels) -> None:
    label, (name, other, *_) = labels.label, labels.ids
    rejects = labels.settings.log_folder / "labels.rejects.csv"
    rows = f"id,{label}\n{name},5\nx,true\n{other},true\n"
    assert f"Rejected:       2 rows with the reasons in {rejects}" in labels.take(rows)
    assert pd.read_csv(rejects)["row"].tolist() == [0, 1]
    with pytest.raises(UserError, match=r"taken: 2 of 3 rows cannot be used, more than MAX_REJECTS=0.5 allows"):
        labels.take(rows, max_rejects=0.5)
    with pytest.raises(UserError, match=r"No label was taken: 1 of 2 rows cannot be used; .*labels.rejects.csv has"):
        labels.take(f"id,{label}\n{name},5\n{other},\n")
    labels.take(f"id,{label}\n{name},true\n")
    assert not rejects.exists()
    assert [line["id"] for line in recorded(labels.settings)] == [other, name]


def test_service_takes_and_counts_labels_once(labels: Labels, service: str, contract: Contract) -> None:
    before = counted()
    # More than the service takes at once.
    maker = IdGenerator(labels.settings.model_name, 2, contract.label)
    ids = maker.make({labels.label: np.zeros(3 * MAX_ROWS)})
    table = pd.DataFrame({"id": ids, labels.label: [True] * len(ids)})
    said = labels.take(table, service_url=f"{service}/")
    assert f"New labels:     {len(ids)}, now in {service}" in said
    assert counted() - before == len(ids)
    assert f"Already known:  {len(ids)} labels" in labels.take(table, service_url=f"{service}/")
    assert counted() - before == len(ids)
    assert [line["id"] for line in recorded(labels.settings)] == ids


class Answers(BaseHTTPRequestHandler):
    """A server whose answers to labels are prepared."""

    answers: list[tuple[int, dict[str, Any]]]
    seen: list[str]

    def do_POST(self) -> None:
        """Give the next answer; the last one again and again."""
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).seen.append(self.headers.get("Authorization", ""))
        status, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(401, {"error": "no token"})], "answers 401: no token. Set AUTH"),
        ([(404, {"error": "no such path"})], "SERVICE_URL is the address of the service"),
        ([(409, {"error": "no label"})], "answers 409: no label"),
        ([(503, {"error": "full disk"})], r"does not take labels \(503: full disk\).*run again"),
        ([(200, {})], "SERVICE_URL is the address of the service"),
        (
            [(202, {"taken": 29, "problems": [{"field": "id", "reason": "other labels", "value": "a"}]})],
            "has rejected 1 label. The first: id: other labels",
        ),
        ([(429, {}), (503, {}), (202, {"taken": 30, "problems": []})], ""),
    ],
)
def test_what_a_service_answers_is_said(
    labels: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any], said: str
) -> None:
    monkeypatch.setattr(label_sinks, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(Answers, "answers", answers, raising=False)
    monkeypatch.setattr(Answers, "seen", [], raising=False)
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(UserError, match=said) if said else nullcontext():
            labels.take(labels.table, service_url=url, auth="token", tokens=tmp_path / "tokens")
        server.shutdown()
    assert set(Answers.seen) == {f"Bearer {TOKEN}"}
    assert recorded(labels.settings) == []


def test_service_that_does_not_answer_is_named(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_sinks, "RETRY_SECONDS", (0.0,))
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=rf"{address}/feedback does not take labels \(ConnectionError\)"):
        labels.take(labels.table, service_url=address)


def test_killed_in_the_middle_the_next_run_completes_and_doubles_nothing(
    settings: config.Settings, contract: Contract, tmp_path: Path
) -> None:
    count, label = 100_000, contract.label.name
    ids = IdGenerator(settings.model_name, 2, contract.label).make({label: np.zeros(count)})
    pd.DataFrame({"id": ids, label: np.arange(count) % 2 == 0}).to_csv(tmp_path / "labels.csv", index=False)
    env = os.environ | {"STORE": str(settings.store), "LOG_FOLDER": str(settings.log_folder)}
    command = [sys.executable, "-m", config.PACKAGE, "feedback", str(tmp_path / "labels.csv")]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(settings.log_folder.glob("feedback-*.jsonl")):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    (file,) = settings.log_folder.glob("feedback-*.jsonl")
    assert file.stat().st_size < count * 100
    with file.open("ab") as half:  # as if the disk had taken half a line
        half.write(b'{"time":"2026-')
    feedback.run(settings, str(tmp_path / "labels.csv"))
    lines = [line for path in settings.log_folder.glob("feedback-*.jsonl") for line in path.read_text().splitlines()]
    written = [json.loads(line)["id"] for line in lines if line.endswith("}")]
    assert len(written) == count
    assert set(written) == set(ids)


def test_missing_input_is_named(settings: config.Settings) -> None:
    with pytest.raises(UserError, match=r"INPUT is missing\. For example: make feedback INPUT=labels.csv"):
        feedback.run(settings, "")


def test_without_a_release_the_champion_of_the_registry_says_what_a_label_is(labels: Labels, tmp_path: Path) -> None:
    other = {"store": tmp_path / "store", "log_folder": tmp_path / "other"}
    labels.take(labels.table, **other)
    assert [line["id"] for line in recorded(labels.settings.model_copy(update=other))] == labels.ids
