"""Labels of files as a command: into the feedback log, or to a service that counts them; each once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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


def labels_of(predictions: list[dict[str, Any]], label: str) -> pd.DataFrame:
    return pd.DataFrame({"id": [row["id"] for row in predictions], label: [row[label] for row in predictions]})


def test_labels_are_written_as_the_route_writes_them_and_each_once(
    settings: config.Settings,
    routes: app.Routes,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    label, source = contract.label.name, tmp_path / "labels.csv.gz"
    table = labels_of(predictions, label)
    given = json.loads(table.to_json(orient="records"))
    TestClient(app.ScoringMiddleware(routes._predict, routes)).post("/feedback", json=given[:5])
    by_route = recorded(settings)
    pd.concat([table, table[:3]]).to_csv(source, index=False)
    feedback.run(settings, str(source))
    said = capsys.readouterr().out
    assert f"New labels:     {len(table) - 5}, now in" in said
    assert "Already known:  5 labels" in said
    assert "Repeated:       3 rows" in said
    assert "make monitor" in said
    found = recorded(settings)
    assert [{name: line[name] for name in ("id", label)} for line in found] == given
    assert [list(line) for line in found] == [list(by_route[0])] * len(given)
    assert {type(line[label]) for line in found} == {bool}
    feedback.run(settings, str(source))
    assert f"Already known:  {len(table)} labels" in capsys.readouterr().out
    assert recorded(settings) == found


def test_a_corrected_label_is_written_and_the_last_one_is_known(
    settings: config.Settings, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    label, source = contract.label.name, tmp_path / "labels.csv"
    for actual in ("true", "false", "false", "True"):
        source.write_text(f"id,{label}\n{predictions[0]['id']},{actual}\n")
        feedback.run(settings, str(source))
    assert [line[label] for line in recorded(settings)] == [True, False, True]


def test_labels_join_by_the_key_of_the_caller(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "labels.parquet"
    pd.DataFrame({"key": [3, 5, 1000], contract.label.name: [True, False, True]}).to_parquet(source)
    feedback.run(settings, str(source))
    assert {line["id"]: line[contract.label.name] for line in recorded(settings)} == {
        predictions[3]["id"]: True,
        predictions[5]["id"]: False,
    }
    assert "No prediction:  1 labels, whose key is in no logged row" in capsys.readouterr().out


def test_rows_without_a_label_yet_are_counted_and_nothing_is_written(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "labels.csv").write_text(f"key,{contract.label.name}\n3,\n5,\n")
    feedback.run(settings, str(tmp_path / "labels.csv"))
    assert "No label yet:   2 rows without a label" in capsys.readouterr().out
    assert recorded(settings) == []


def test_log_that_is_too_small_for_the_labels_is_said(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels_of(predictions, contract.label.name).to_csv(tmp_path / "labels.csv", index=False)
    feedback.run(settings.model_copy(update={"log_megabytes": 0}), str(tmp_path / "labels.csv"))
    assert "LOG_MEGABYTES=0: the oldest were removed. Raise it and run again." in capsys.readouterr().out


def test_two_commands_at_once_are_one_too_many(
    settings: config.Settings, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    labels_of(predictions, contract.label.name).to_csv(tmp_path / "labels.csv", index=False)
    with alone(settings.log_folder, ""), pytest.raises(UserError, match="another make feedback is writing there"):
        feedback.run(settings, str(tmp_path / "labels.csv"))
    assert recorded(settings) == []


def test_rejected_rows_are_counted_and_their_file_goes_when_there_are_none(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    label, source = contract.label.name, tmp_path / "labels.csv"
    name, other = predictions[0]["id"], predictions[1]["id"]
    source.write_text(f"id,{label}\n{name},5\nx,true\n{other},true\n")
    feedback.run(settings, str(source))
    rejects = settings.log_folder / "labels.rejects.csv"
    assert f"Rejected:       2 rows, with the reasons in {rejects}" in capsys.readouterr().out
    assert pd.read_csv(rejects)["row"].tolist() == [0, 1]
    with pytest.raises(UserError, match=r"2 of 3 rows were rejected, more than MAX_REJECTS=0.5 allows, and no label"):
        feedback.run(settings.model_copy(update={"max_rejects": 0.5}), str(source))
    source.write_text(f"id,{label}\n{name},5\n{other},\n")
    with pytest.raises(UserError, match=r"1 of 2 rows were rejected, and no label was taken; .*labels.rejects.csv"):
        feedback.run(settings, str(source))
    source.write_text(f"id,{label}\n{name},true\n")
    feedback.run(settings, str(source))
    assert not rejects.exists()
    assert [line["id"] for line in recorded(settings)] == [other, name]


def test_service_takes_and_counts_labels_once(
    settings: config.Settings,
    service: str,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, before = tmp_path / "labels.csv", counted()
    # More than the service takes at once.
    ids = IdGenerator(settings.model_name, 2, contract.label).make({contract.label.name: np.zeros(3 * MAX_ROWS)})
    pd.DataFrame({"id": ids, contract.label.name: [True] * len(ids)}).to_csv(source, index=False)
    settings = settings.model_copy(update={"service_url": f"{service}/"})
    feedback.run(settings, str(source))
    assert f"New labels:     {len(ids)}, now in {service}" in capsys.readouterr().out
    assert counted() - before == len(ids)
    feedback.run(settings, str(source))
    assert f"Already known:  {len(ids)} labels" in capsys.readouterr().out
    assert counted() - before == len(ids)
    assert [line["id"] for line in recorded(settings)] == ids


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
            "has rejected 1 labels. The first: id: other labels",
        ),
        ([(429, {}), (503, {}), (202, {"taken": 30, "problems": []})], ""),
    ],
)
def test_what_a_service_answers_is_said(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[Any],
    said: str,
) -> None:
    monkeypatch.setattr(label_sinks, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(Answers, "answers", answers, raising=False)
    monkeypatch.setattr(Answers, "seen", [], raising=False)
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    labels_of(predictions, contract.label.name).to_csv(tmp_path / "labels.csv", index=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        changed = settings.model_copy(update={"service_url": url, "auth": "token", "tokens": tmp_path / "tokens"})
        if said:
            with pytest.raises(UserError, match=said):
                feedback.run(changed, str(tmp_path / "labels.csv"))
        else:
            feedback.run(changed, str(tmp_path / "labels.csv"))
        server.shutdown()
    assert set(Answers.seen) == {f"Bearer {TOKEN}"}
    assert recorded(settings) == []


def test_service_that_does_not_answer_is_named(
    settings: config.Settings,
    predictions: list[dict[str, Any]],
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_sinks, "RETRY_SECONDS", (0.0,))
    labels_of(predictions, contract.label.name).to_csv(tmp_path / "labels.csv", index=False)
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=rf"{address}/feedback does not take labels \(ConnectionError\)"):
        feedback.run(settings.model_copy(update={"service_url": address}), str(tmp_path / "labels.csv"))


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


def test_without_a_release_the_champion_of_the_registry_says_what_a_label_is(
    trained: config.Settings, predictions: list[dict[str, Any]], contract: Contract, tmp_path: Path
) -> None:
    settings = trained.model_copy(update={"store": tmp_path / "store", "log_folder": tmp_path / "other"})
    labels_of(predictions, contract.label.name).to_csv(tmp_path / "labels.csv", index=False)
    feedback.run(settings, str(tmp_path / "labels.csv"))
    assert [line["id"] for line in recorded(settings)] == [row["id"] for row in predictions]
