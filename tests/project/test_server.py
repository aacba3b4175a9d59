"""The same words against a shared MLflow server: a real process, over HTTP, with and without credentials."""

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Project, call, free_port, running, wait_for

pytestmark = pytest.mark.slow

ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "correct horse battery"}
#: Without them a server delivers to https and public addresses only, and with a key of the moment.
WEBHOOKS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
    # A list of webhooks is kept for a minute otherwise, also the one without ours.
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
}


def server(project: Project, folder: Path, port: int, *options: str) -> list[str]:
    """Return the command of an MLflow server that keeps everything in a folder."""
    python = str(project.path / ".venv/bin/python")
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    return [*command, *options]


class Server(NamedTuple):
    """An MLflow server that runs."""

    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def variant(project: Project, tmp_path: Path) -> Iterator[Project]:
    """Return a project of its own, without a local registry."""
    copied = project.variant(tmp_path / "project", "direction")
    yield copied
    copied.make("undeploy")
    assert not (copied.path / "mlflow.db").exists(), "everything went to the server"


@pytest.fixture(scope="module")
def mlflow(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that delivers webhooks on this machine."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    env = project.env | WEBHOOKS | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with running(server(project, folder, port), f"{url}/health", folder, env) as process:
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
    assert "wants version 1" in shared.make("status")
    shared.make("deploy")
    rows = tmp_path / "rows.csv"
    rows.write_text(",".join(f"day_{i}" for i in range(1, 15)) + "\n" + ",".join("10" * 7) + "\n")
    shared.make("predict", f"INPUT={rows}", f"OUTPUT={tmp_path}/out.parquet")
    shared.make("history")
    shared.make("build")
    assert "look there" in shared.make("mlflow", ok=False)


def test_webhook_brings_a_change_before_the_next_poll(shared: Project) -> None:
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
    assert "failed, though: connection refused" in shared.make("sync", f"ARGS=--register {address}", **env)


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


def test_while_the_server_is_gone_the_service_serves_on_and_restarts(shared: Project, mlflow: Server) -> None:
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


def test_credentials_decide(project: Project, variant: Project, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = tmp_path / "auth.ini"
    settings.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/users.db\nadmin_username = admin\n"
        # Checking a password costs half a second; without the cache each call to the server does.
        "auth_cache_ttl_seconds = 60\n"
        f"admin_password = {ADMIN['MLFLOW_TRACKING_PASSWORD']}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = project.env | {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN["MLFLOW_TRACKING_PASSWORD"],
    }
    variant.env["MLFLOW_TRACKING_URI"] = url
    with running(server(project, tmp_path, port, "--app-name", "basic-auth"), f"{url}/health", tmp_path, env):
        assert f"{url} does not accept a call without a user" in variant.make("train", ok=False)
        wrong = ADMIN | {"MLFLOW_TRACKING_PASSWORD": "wrong"}
        assert "does not accept user 'admin'" in variant.make("train", ok=False, **wrong)

        # Credentials may stand in .env, as the example shows.
        (variant.path / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in ADMIN.items()))
        variant.make("train")
        registry = variant.registry(**ADMIN)
        assert registry["aliases"]["champion"] == 1
        assert registry["history"][0]["who"] == "admin"
        variant.make("deploy")
        assert call(f"{variant.url}/predict", variant.rows())[0] == 200

        # A reader may score and deploy, and not train.
        create = f"""
import os
os.environ.update({ADMIN!r})
from mlflow.server import get_app_client
get_app_client("basic-auth", "{url}").create_user("reader", "a long enough password")
"""
        subprocess.run([str(project.path / ".venv/bin/python"), "-c", create], env=project.env, check=True, timeout=60)
        reader = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": "a long enough password"}
        assert "in step" in variant.make("status", **reader)
        said = variant.make("train", ok=False, **reader)
        assert f"{url} forbids this to reader" in said
        webhook = {"WEBHOOK_SECRET": "only for this test"}
        said = variant.make("sync", "ARGS=--register https://example.com", ok=False, **reader, **webhook)
        assert f"{url} has its administrators register webhooks" in said
