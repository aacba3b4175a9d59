"""A training on this machine: it makes a challenger, its reason travels, and the champion stays if gates fail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from titanic_survival import config, report
from titanic_survival import history as show_history
from titanic_survival.shared import retraining
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.termination import Terminated, terminable
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.retraining import action
from titanic_survival.toolkit.retraining.limits import Limits
from titanic_survival.toolkit.retraining.local import Local
from titanic_survival.toolkit.retraining.request import Request

#: A training whose gates nothing reaches.
IMPOSSIBLE = """
import sys, titanic_survival.model.quality as quality
quality.GATES = {"log_loss": {"at_most": 0}}
sys.argv = ["titanic_survival", "train"]
from titanic_survival.__main__ import main
main()
"""
HOSTILE = "drift of fare is 0.4\n| a | [x](http://y) `$(touch {file})` </td>```mermaid https://ada:secret@example.com/x"


def test_triggered_training_makes_a_challenger_and_never_more_without_its_gates(
    project: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.mlflow_tracking_uri)
    monkeypatch.setenv("STORE", str(project.store))
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    champion = registry.get("champion").number
    request = Request.of(project.model_name, champion, HOSTILE.replace("{file}", str(tmp_path / "made")), ["a rule"])
    monkeypatch.setattr(action, "sleep", lambda seconds: None)
    local = Local([sys.executable, "-c", IMPOSSIBLE], config.ROOT)
    outcome = action.act(registry, request, local, Limits(24, 2))
    assert outcome.state == "started" and "it ended with exit code 0 after" in outcome.sentence
    version = registry.get("2")
    assert version.aliases == ("challenger",) and version.tags["gates"] == "failed"
    assert registry.get("champion").number == champion

    assert not (tmp_path / "made").exists()
    assert "\n" not in request.reason and "secret" not in request.reason
    assert mlflow.MlflowClient().get_run(version.run_id).data.tags["reason"] == request.reason
    store = Store(project.store)
    store.pull(version, registry.download)
    assert store.load(2).details["reason"] == request.reason
    quoted = f"Why it was trained: `{request.reason.replace('`', chr(39))}`"
    assert quoted in (store.path(2) / "card.md").read_text()
    assert quoted in report.run(project, "2", tmp_path / "report")
    capsys.readouterr()
    show_history.run(project, as_json=True)
    kinds = {entry["kind"]: entry for entry in map(json.loads, capsys.readouterr().out.splitlines())}
    assert (kinds["retraining"]["action"], kinds["retraining"]["why"]) == ("started", request.reason)
    # Asked again, nothing happens: the reason was acted on, though it changed nothing.
    settings = project.model_copy(update={"retrain_trigger": "local", "retrain_cooldown_hours": 0})
    assert retraining.act(settings, registry, request).state == "skipped"
    assert len(registry.versions()) == 2


def test_training_that_fails() -> None:
    command = [sys.executable, "-c", "import os, sys; sys.exit(3 if os.environ['WHY'] == 'drift' else 0)"]
    with pytest.raises(UserError, match="failed with exit code 3"):
        Local(command, Path.cwd()).start(Request.of("m", 1, "drift"), "")
    assert "exit code 0" in Local(command, Path.cwd()).start(Request.of("m", 1, "other"), "").result


def test_training_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    alive = tmp_path / "pid"
    command = [
        sys.executable,
        "-c",
        f"import os, time; open({str(alive)!r}, 'w').write(str(os.getpid())); time.sleep(60)",
    ]
    ending = "import os, signal, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), signal.SIGTERM)"
    with (
        subprocess.Popen([sys.executable, "-c", ending, str(os.getpid()), "1"]),
        terminable(),
        pytest.raises(Terminated),
    ):
        Local(command, tmp_path).start(Request.of("m", 1, "drift"), "")
    started = int(alive.read_text())
    for _ in range(50):
        try:
            os.kill(started, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(started, signal.SIGKILL)
    pytest.fail("the training goes on alone")
