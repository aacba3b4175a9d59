"""Doctor as a whole: what it prints, its exit code, and that one thing that is broken hides no other."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from titanic_survival import config, doctor
from titanic_survival.toolkit.common import console
from titanic_survival.toolkit.common.findings import Check, ok
from titanic_survival.toolkit.common.sockets import free_port


@pytest.fixture
def whole(project: config.Settings, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """Return the settings of a trained project, on a machine with which all is well."""
    monkeypatch.setattr(doctor, "_machine", lambda settings: [Check("python", lambda: [ok("new enough")])])
    return project.model_copy(update={"port": free_port()})


def test_all_is_well(whole: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run(whole) == 0
    output = capsys.readouterr().out
    assert "✗" not in output + "⚠"[1:]
    assert "✓ python     new enough\n" in output
    assert "training = batch = service = stream on " in output
    assert "training = mlflow.pyfunc on " in output
    assert output.endswith("\nEverything is as it should be\n")


def test_json_for_machines(whole: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(whole.store / "versions")
    with socket.create_server(("127.0.0.1", whole.port)):
        assert doctor.run(whole, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert not console.out.quiet
    assert {item["check"] for item in found if item["level"] == "error"} == {"store", "port"}
    assert {"python", "mlflow"} <= {item["check"] for item in found if item["level"] == "ok"}


def test_a_cause_is_shown_once(whole: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (whole.store / "release.json").write_text("{")
    assert doctor.run(whole) == 1
    output = capsys.readouterr().out
    assert output.count("release.json cannot be read") == 1
    assert "1 broken, 0 to look at" in output


def test_new_project_has_nothing_to_complain_of(
    whole: config.Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = {"mlflow_tracking_uri": f"sqlite:///{tmp_path}/new.db", "store": tmp_path / "new"}
    assert doctor.run(whole.model_copy(update=new)) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if "✓" in line] == [
        "python",
        "mlflow",
        "port",
    ]
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("settings", "check", "text"),
    [
        ({"auth": "token", "tokens": Path("/nowhere/tokens")}, "access", "/nowhere/tokens"),
        ({"verify_key": Path("/nowhere/key")}, "signing", "VERIFY_KEY=/nowhere/key: No such file"),
        ({"kafka_brokers": "127.0.0.1:1"}, "kafka", "no broker of KAFKA_BROKERS answers: 127.0.0.1:1 ("),
        ({"target": "kubernetes", "kubernetes_context": "nowhere"}, "kubernetes", "k"),
    ],
)
def test_what_settings_name_is_checked(
    whole: config.Settings,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, object],
    check: str,
    text: str,
) -> None:
    assert doctor.run(whole.model_copy(update=settings), as_json=True) == 1
    found = [item for item in json.loads(capsys.readouterr().out) if item["check"] == check]
    assert [(item["level"], text in item["text"]) for item in found] == [("error", True)]


def test_server_that_never_answers_hides_nothing_and_keeps_nobody_waiting(project: config.Settings) -> None:
    """As a process of its own: what hangs must not keep it from ending."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        script = (
            "import sys; from titanic_survival import doctor; from titanic_survival.shared import project_checks as p; "
            "from titanic_survival.toolkit.common.findings import Check; "
            "p.ProjectChecks.applicable = lambda self: [Check('mlflow', lambda: p.connect(*self._mlflow), 1), "
            "Check('store', lambda: [], 30)]; "
            "from titanic_survival.command_line import settings; sys.exit(doctor.run(settings()))"
        )
        env = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=config.ROOT, env=env, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert "✗ mlflow     no answer within 1 s" in done.stdout
    assert "✓ disk" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
