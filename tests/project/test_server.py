"""The same words against a shared MLflow server: a real process, over HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Project, call, free_port, mlflow_server, running

pytestmark = pytest.mark.slow


@pytest.fixture
def variant(project: Project, tmp_path: Path) -> Iterator[Project]:
    """Return a project of its own, without a local registry."""
    copied = project.variant(tmp_path / "project", "direction")
    yield copied
    copied.make("undeploy")
    assert not (copied.path / "mlflow.db").exists(), "everything went to the server"


def test_every_command_works_against_a_server(project: Project, variant: Project, tmp_path: Path) -> None:
    port = free_port()
    variant.env |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(mlflow_server(project, tmp_path, port), f"http://127.0.0.1:{port}/health", tmp_path, variant.env):
        said = variant.make("train")
        assert f"http://127.0.0.1:{port}/#/experiments/" in said
        variant.make("train")
        assert variant.registry()["aliases"] == {"challenger": 2, "champion": 2}
        variant.make("deploy")
        assert call(f"{variant.url}/predict", variant.rows())[1][0]["version"] == 2
        variant.make("rollback")
        assert "wants version 1" in variant.make("status")
        variant.make("deploy")
        rows = tmp_path / "rows.csv"
        rows.write_text(",".join(f"day_{i}" for i in range(1, 15)) + "\n" + ",".join("10" * 7) + "\n")
        variant.make("predict", f"INPUT={rows}", f"OUTPUT={tmp_path}/out.parquet")
        variant.make("history")
        variant.make("build")
        assert "look there" in variant.make("mlflow", ok=False)
        # Whoever asks this server may read the model: its yes says nothing of a caller.
        assert "--app-name basic-auth" in variant.make("deploy", ok=False, AUTH="mlflow")
    # The server is gone: what is deployed serves on, and commands say so at once.
    assert call(f"{variant.url}/predict", variant.rows())[1][0]["version"] == 1
    start = time.monotonic()
    said = variant.make("train", ok=False)
    assert time.monotonic() - start < 30
    assert f"No MLflow server answers at http://127.0.0.1:{port} (connection refused)" in said
    assert "No MLflow server answers" in variant.make("status")
