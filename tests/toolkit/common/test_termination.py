"""What SIGTERM leaves of a training and of a batch: a run that was killed, and nothing on the disk."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from titanic_survival import config
from titanic_survival.toolkit.common.termination import Terminated, terminable
from titanic_survival.toolkit.registry.client import connect
from titanic_survival.toolkit.registry.runs import start_run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_a_run_as_killed(project: config.Settings, number: int) -> None:
    found = connect(project.mlflow_tracking_uri, project.model_name)
    # A job under nohup ignores SIGHUP, and a test in it would too.
    before = signal.signal(number, signal.default_int_handler)
    with pytest.raises(Terminated) as raised, terminable(), start_run(found, "train") as run:
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert raised.value.code == 128 + number
    assert mlflow.MlflowClient().get_run(run.id).info.status == "KILLED"
    assert signal.getsignal(number) is signal.default_int_handler
    signal.signal(number, before)


def test_interrupt_ends_a_run_as_killed(project: config.Settings) -> None:
    found = connect(project.mlflow_tracking_uri, project.model_name)
    with pytest.raises(KeyboardInterrupt), start_run(found, "train") as run:
        raise KeyboardInterrupt
    assert mlflow.MlflowClient().get_run(run.id).info.status == "KILLED"


def test_terminated_batch_leaves_nothing(
    project: config.Settings, tmp_path: Path, rows: list[dict[str, object]]
) -> None:
    source, folder, scratch = tmp_path / "in.csv", tmp_path / "out", tmp_path / "scratch"
    names = list(rows[0])
    lines = [",".join("" if row.get(name) is None else str(row.get(name)) for name in names) for row in rows]
    source.write_text(",".join(names) + "\n" + "\n".join(lines * 20_000) + "\n")
    folder.mkdir()
    scratch.mkdir()
    env = os.environ | {"MLFLOW_TRACKING_URI": project.mlflow_tracking_uri, "STORE": str(project.store)}
    command = [sys.executable, "-m", config.PACKAGE, "predict", str(source), str(folder / "out.csv")]
    with subprocess.Popen(
        command, env=env | {"TMPDIR": str(scratch)}, cwd=config.ROOT, stderr=subprocess.PIPE
    ) as process:
        while not any(path.stat().st_size > 10_000 for path in folder.iterdir()) and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors.decode()
    assert b"Traceback" not in errors
    assert list(folder.iterdir()) == []
    assert [path for path in scratch.iterdir() if path.is_dir()] == []
    connect(project.mlflow_tracking_uri, project.model_name)
    experiment = mlflow.get_experiment_by_name(project.model_name).experiment_id
    (run,) = mlflow.MlflowClient().search_runs([experiment], "tags.kind = 'predict'")
    assert run.info.status == "KILLED"
