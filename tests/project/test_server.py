"""The same words against a shared MLflow server: a real process, over HTTP."""

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Project, call, free_port, mlflow_server, running, wait_for

pytestmark = pytest.mark.slow

#: Without them a server delivers to https and public addresses only, and with a key of the moment.
WEBHOOKS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
    # A list of webhooks is kept for a minute otherwise, also the one without ours.
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
}


class Server(NamedTuple):
    """An MLflow server that runs."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def mlflow(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that delivers webhooks on this machine."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    env = project.env | WEBHOOKS | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with running(mlflow_server(project, folder, port), f"{url}/health", folder, env) as process:
        yield Server(url, process)


@pytest.fixture(scope="module")
def shared(project: Project, mlflow: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project whose runs and versions are on that server."""
    copied = project.variant(tmp_path_factory.mktemp("shared") / "project", "direction")
    copied.env["MLFLOW_TRACKING_URI"] = mlflow.url
    yield copied
    copied.make("undeploy")
    assert not (copied.path / "mlflow.db").exists(), "everything went to the server"


def test_every_command_works_against_a_server(shared: Project, tmp_path: Path) -> None:
    said = shared.make("train")
    assert f"{shared.env['MLFLOW_TRACKING_URI']}/#/experiments/" in said
    shared.make("train")
    assert shared.registry()["aliases"] == {"challenger": 2, "champion": 2}
    shared.make("deploy")
    assert call(f"{shared.url}/predict", shared.rows())[1][0]["version"] == 2
    shared.make("rollback")
    assert "the registry has version 1" in shared.make("status")
    shared.make("deploy")
    rows = tmp_path / "rows.csv"
    rows.write_text(",".join(f"day_{i}" for i in range(1, 15)) + "\n" + ",".join("10" * 7) + "\n")
    shared.make("predict", f"INPUT={rows}", f"OUTPUT={tmp_path}/out.parquet")
    shared.make("history")
    shared.make("build")
    assert "open that address" in shared.make("mlflow", ok=False)
    # Whoever asks this server may read the model: its yes says nothing of a caller.
    assert "--app-name basic-auth" in shared.make("deploy", ok=False, AUTH="mlflow")


def test_webhook_triggers_a_sync_before_the_next_poll(shared: Project) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    env = {"WEBHOOK_SECRET": "only for this test", "WEBHOOK_PORT": str(port), "SYNC_SECONDS": "3600"}
    with running(["make", "sync"], f"{shared.url}/readyz", shared.path, shared.env | env):
        wait_for(lambda: call(address, {})[0] == 401)
        for _ in range(2):
            assert "has arrived" in shared.make("sync", f"ARGS=--register {address}", **env)
        assert webhooks(shared) == [address], "registering again makes no second one"
        assert call(f"{shared.url}/predict", shared.rows())[1][0]["version"] == 1
        shared.make("promote", "VERSION=2")
        wait_for(lambda: call(f"{shared.url}/predict", shared.rows())[1][0]["version"] == 2)
    assert "failed: connection refused" in shared.make("sync", f"ARGS=--register {address}", **env)


def webhooks(project: Project) -> list[str]:
    """Return the addresses to which the server delivers."""
    return project.python(
        """
import json, mlflow
from titanic_survival import config
mlflow.set_tracking_uri(config.settings().mlflow_tracking_uri)
print(json.dumps([webhook.url for webhook in mlflow.MlflowClient().list_webhooks()]))
"""
    )


def test_service_serves_and_restarts_while_the_mlflow_server_is_down(shared: Project, mlflow: Server) -> None:
    os.killpg(mlflow.process.pid, signal.SIGTERM)
    mlflow.process.wait(30)
    assert call(f"{shared.url}/predict", shared.rows())[1][0]["version"] == 2
    assert "No MLflow server answers" in shared.make("status")
    start = time.monotonic()
    said = shared.make("train", ok=False)
    assert time.monotonic() - start < 30
    assert f"No MLflow server answers at {mlflow.url} (connection refused)" in said
    again = f"http://127.0.0.1:{free_port()}"
    command = [str(shared.path / ".venv/bin/python"), "-m", shared.package, "serve"]
    with running(command, f"{again}/readyz", shared.path, shared.env | {"PORT": again.rpartition(":")[2]}):
        assert call(f"{again}/predict", shared.rows())[1][0]["version"] == 2
