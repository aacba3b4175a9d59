"""The same words against a shared MLflow server: a real process, over HTTP, with and without credentials."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Project, call, free_port, running

pytestmark = pytest.mark.slow

ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "correct horse battery"}


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
    with running(server(project, tmp_path, port), f"http://127.0.0.1:{port}/health", tmp_path, variant.env):
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
    # The server is gone: what is deployed serves on, and commands say so at once.
    assert call(f"{variant.url}/predict", variant.rows())[1][0]["version"] == 1
    start = time.monotonic()
    said = variant.make("train", ok=False)
    assert time.monotonic() - start < 30
    assert f"No MLflow server answers at http://127.0.0.1:{port} (connection refused)" in said
    assert "No MLflow server answers" in variant.make("status")


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
