"""Golden requests reach a service as any others, and are told from these in its log."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from titanic_survival import config
from titanic_survival.toolkit.common.names import GOLDEN_KEY
from titanic_survival.toolkit.diagnosis import golden
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring.prediction_log import LogFile, PredictionLog
from titanic_survival.toolkit.monitoring.recorder import Recorder
from titanic_survival.toolkit.release import instance_http
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.targets.kubernetes import golden as of_a_cluster
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer


class Service(NamedTuple):
    """A service with its two addresses, and the recorder that logs to a folder."""

    url: str
    socket: Path
    recorder: Recorder
    log: Path


@pytest.fixture
def service(served: Path, tmp_path: Path) -> Iterator[Service]:
    live = LiveRelease(served)
    live.load()
    recorder = Recorder(PredictionLog(LogFile(tmp_path, "predictions", 10**9)))
    routes = app.Routes(
        Scorer(live, Limits(1000, 10**6), recorder), LogFile(tmp_path, "feedback", 10**9), title="", description=""
    )
    application = app.ScoringMiddleware(routes._predict, routes)
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="error"))
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "socket"))
        thread = threading.Thread(target=server.run, args=([tcp, unix],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Service(f"http://127.0.0.1:{tcp.getsockname()[1]}", tmp_path / "socket", recorder, tmp_path)
        server.should_exit = True
        thread.join(10)


def test_every_golden_request_is_logged_with_its_key(service: Service, trained: config.Settings, served: Path) -> None:
    version = Store(served).load(2)
    rows = version.example.rows
    assert instance_http.scores(service.socket, rows)
    assert of_a_cluster.ask(service.url, version, 2, "") == ""
    asked = golden.Version(2, trained.model_name, version)
    assert len(golden.by_service(service.url, "")(asked)) == len(rows)
    service.recorder.close()
    texts = [text for file in service.log.glob("predictions-*") for text in file.read_text().splitlines()]
    lines = [json.loads(text) for text in texts]
    assert {tuple(line["keys"]) for line in lines} == {(GOLDEN_KEY,)}
    assert sum(len(line["id"]) for line in lines) == 3 * len(rows)
