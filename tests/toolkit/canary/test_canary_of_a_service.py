"""Canaries of a real service with real traffic: challengers that are slow, fail, predict worse, or are fine."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import candidates
import mlflow
import pytest
import requests
from titanic_survival import canary, config, history
from titanic_survival.model import quality
from titanic_survival.shared import targets
from titanic_survival.toolkit.canary import begin
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.monitoring.version_counts import scrape
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.version import artifact

NAME = "candidates"


class Served(NamedTuple):
    """A service with version 1 as champion, under traffic, and its registry."""

    settings: config.Settings
    registry: Registry
    folder: Path
    save_in: Callable[..., artifact.Artifact]

    def add(self, estimator: Any) -> int:
        """Register a version as challenger, and return its number."""
        client = mlflow.MlflowClient()
        number = int(client.create_model_version(NAME, str(self.folder), tags={"gates": "passed"}).version)
        # Where the store has a version, it is not downloaded.
        folder, examples = Store(self.settings.store).path(number), [{"amount": float(i)} for i in range(0, 800, 8)]
        saved = self.save_in(folder, candidates.Row, candidates.Prediction, estimator, examples, candidates)
        self.registry.set_version_tags(number, {"digest": artifact.digest(saved.folder)})
        self.registry.set_alias("challenger", number)
        return number


class Traffic:
    """Callers who send amounts, and the labels of their predictions a moment later."""

    def __init__(self, url: str) -> None:
        self._url, self._end = url, threading.Event()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(seed,), daemon=True) for seed in range(3)]

    def _send(self, seed: int) -> None:
        numbers, session = random.Random(seed), requests.Session()
        while not self._end.wait(0.004):
            amount = numbers.uniform(0, 1000)
            try:
                answer = session.post(f"{self._url}/predict", json=[{"amount": amount}], timeout=5)
                if answer.status_code == 200:
                    label = {"id": answer.json()[0]["id"], "size": "large" if amount > 500 else "small"}
                    session.post(f"{self._url}/feedback", json=[label], timeout=5)
                elif "too large for me" not in answer.text:
                    self.failures.append(answer.text)
            except requests.RequestException as error:
                self.failures.append(str(error))

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def served(
    copied: Callable[[Path], config.Settings],
    save_in: Callable[..., artifact.Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Deploy a service of version 1."""
    folder = tmp_path_factory.mktemp("canary")
    environment = {"MODEL_NAME": NAME, "LOG_FOLDER": str(folder / "log"), "LOG_SHARE": "0"}
    settings = copied(folder).model_copy(
        update={
            "model_name": NAME,
            "store": folder / "candidates",
            "port": free_port(),
            "sync_seconds": 0.3,
            "canary_steps": "20,50,100",
            "canary_requests": 100,
            "canary_labels": 60,
            "canary_seconds": 60.0,
        }
    )
    registry = connect(settings.mlflow_tracking_uri, NAME)
    registry.client.create_registered_model(NAME)
    found = Served(settings, registry, folder, save_in)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(begin, "CLAIM_SECONDS", 0)
        patch.setattr(quality, "CANARY", {"errors": 0.06, "slow": 0.15, "rejected": 0.06}, raising=False)
        number = found.add(candidates.Fine())
        registry.set_alias("champion", number)
        store = Store(settings.store)
        store.write(Release.now(NAME, number, {number: ("challenger", "champion")}))
        target = targets.target(settings)
        target.apply(store.load(number))
        try:
            yield found
        finally:
            target.remove()


@pytest.fixture
def traffic(served: Served) -> Iterator[Traffic]:
    """Send traffic to the service during a test."""
    with Traffic(f"http://127.0.0.1:{served.settings.port}") as traffic:
        yield traffic
    assert traffic.failures == []


def weights(served: Served) -> dict[str, int]:
    answer = requests.get(f"http://127.0.0.1:{served.settings.port}/model", timeout=5)
    return answer.json()["traffic"]


def log(served: Served, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the entries of canaries in the history."""
    capsys.readouterr()
    history.run(served.settings, as_json=True)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [entry for entry in entries if entry["kind"] == "canary"]


@pytest.mark.parametrize(
    ("estimator", "criterion", "reason"),
    [
        (candidates.Slow(), "slow", "slow requests"),
        (candidates.Failing(), "errors", "errors"),
        (candidates.Worse(), "wrong", "wrong predictions"),
    ],
)
def test_challenger_that_is_worse_loses_its_traffic(
    served: Served,
    traffic: Traffic,
    estimator: Any,
    criterion: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    number = served.add(estimator)
    with pytest.raises(UserError, match=rf"Version {number} gets no traffic any more.*worse: {reason} "):
        canary.run(served.settings)
    assert weights(served) == {"1": 100}
    tags = served.registry.tags()
    assert "traffic" not in tags and not [key for key in tags if key.startswith("canary.") and ".event." not in key]
    assert served.registry.get("champion").number == 1
    entries = [entry for entry in log(served, capsys) if entry["version"] == number]
    assert [entry["action"] for entry in entries] == ["started", "went back"]
    (figure,) = [figure for figure in entries[-1]["figures"] if figure["verdict"] == "worse"]
    assert figure["criterion"] == criterion
    assert figure["challenger"] > figure["champion"] and figure["low"] > 0


def test_fine_challenger_is_promoted_in_steps(
    served: Served, traffic: Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    number = served.add(candidates.Fine())
    start = time.monotonic()
    assert canary.run(served.settings).action == "promoted"
    said = capsys.readouterr().out
    assert "20 %" in said and "50 %" in said and "100 %" in said and "not worse" in said
    assert served.registry.get("champion").number == number
    assert weights(served) == {str(number): 100}
    tags = served.registry.tags()
    assert "traffic" not in tags and not [key for key in tags if key.startswith("canary.") and ".event." not in key]
    entries = [entry for entry in log(served, capsys) if entry["version"] == number]
    assert [(entry["action"], entry["percent"]) for entry in entries] == [
        ("started", 0),
        ("step passed", 20),
        ("step passed", 50),
        ("step passed", 100),
        ("promoted", 100),
    ]
    for entry in entries[1:4]:
        assert {figure["criterion"] for figure in entry["figures"]} >= {"errors", "slow", "rejected", "wrong"}
        assert all(figure["counts"][1] >= 60 for figure in entry["figures"])
    assert time.monotonic() - start < 60


def test_metrics_have_the_start_of_the_service(served: Served) -> None:
    started = targets.target(served.settings).running().since.timestamp()
    found = scrape(f"http://127.0.0.1:{served.settings.port}")
    assert started <= found.started < started + 60 and found.started < time.time()
