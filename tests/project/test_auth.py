"""Authentication with a real MLflow server that requires credentials: of commands, and of the service's callers.

The tests build on one another, in this order.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Project, call, free_port, mlflow_server, running, wait_for

pytestmark = pytest.mark.slow

ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "correct horse battery"}
READER = {"MLFLOW_TRACKING_USERNAME": "reader", "MLFLOW_TRACKING_PASSWORD": "a long enough password"}
STRANGER = {"MLFLOW_TRACKING_USERNAME": "stranger", "MLFLOW_TRACKING_PASSWORD": "another long password"}
#: How long the service under test caches permissions.
SECONDS = 2.0


class Guarded(NamedTuple):
    """A project, and the server of its registry."""

    project: Project
    url: str
    server: "subprocess.Popen[bytes]"

    def ask(self, user: dict[str, str] | None = None, password: str | None = None) -> int:
        """Return the status of a prediction that a user asks for."""
        return call(f"{self.project.url}/predict", self.project.rows(1), basic(user, password) if user else "")[0]

    def permit(self, user: dict[str, str], word: str = "grant") -> None:
        """Have the administrator grant a user to read the model, or revoke it."""
        body = {"username": user["MLFLOW_TRACKING_USERNAME"], "resource_type": "registered_model"}
        body |= {"resource_id": "titanic-survival"} | ({"permission": "READ"} if word == "grant" else {})
        status, answer = call(f"{self.url}/api/3.0/mlflow/users/permissions/{word}", body, basic(ADMIN))
        assert status == 200, answer


def basic(user: dict[str, str], password: str | None = None) -> str:
    """Return the header of a user."""
    words = f"{user['MLFLOW_TRACKING_USERNAME']}:{password or user['MLFLOW_TRACKING_PASSWORD']}"
    return "Basic " + base64.b64encode(words.encode()).decode()


@pytest.fixture(scope="module")
def guarded(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return a project of its own, whose registry is a server that requires credentials."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    variant, url = project.variant(folder / "project", "direction"), f"http://127.0.0.1:{port}"
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\nadmin_username = admin\n"
        f"database_uri = sqlite:///{folder}/users.db\n"
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
    variant.env |= {"MLFLOW_TRACKING_URI": url, "AUTH_SECONDS": str(SECONDS)}
    command = mlflow_server(project, folder, port, "--app-name", "basic-auth")
    with running(command, f"{url}/health", folder, env) as server:
        for user in (READER, STRANGER):
            body = {"username": user["MLFLOW_TRACKING_USERNAME"], "password": user["MLFLOW_TRACKING_PASSWORD"]}
            status, answer = call(f"{url}/api/2.0/mlflow/users/create", body, basic(ADMIN))
            assert status == 200, answer
        yield Guarded(variant, url, server)
        variant.make("undeploy")
    assert not (variant.path / "mlflow.db").exists(), "everything went to the server"


def paste(said: str, **env: str) -> int:
    """Run the line that deploy prints, as a person would, and return the version that answers."""
    line = next(line for line in said.splitlines() if line.startswith("curl "))
    done = subprocess.run(["sh", "-c", line], env=os.environ | env, capture_output=True, check=True)
    return int(json.loads(done.stdout)[0]["version"])


def test_credentials_decide_what_commands_may_do(guarded: Guarded) -> None:
    project, url = guarded.project, guarded.url
    assert f"{url} does not accept a call without a user" in project.make("train", ok=False)
    wrong = ADMIN | {"MLFLOW_TRACKING_PASSWORD": "wrong"}
    assert "does not accept user 'admin'" in project.make("train", ok=False, **wrong)

    # Credentials may stand in .env, as the example shows.
    (project.path / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in ADMIN.items()))
    project.make("train")
    registry = project.registry(**ADMIN)
    assert registry["aliases"]["champion"] == 1
    assert registry["history"][0]["who"] == "admin"
    said = project.make("deploy")
    assert "No authentication (AUTH=none): anyone on this machine" in said
    assert guarded.ask() == 200

    # A reader may score and deploy, and not train.
    guarded.permit(READER)
    assert "in sync" in project.make("status", **READER)
    assert f"{url} forbids this to reader" in project.make("train", ok=False, **READER)
    register = ("sync", "ARGS=--register https://example.com")
    said = project.make(*register, ok=False, WEBHOOK_SECRET="only for this test", **READER)
    assert f"{url} lets only administrators register webhooks" in said


def test_tokens_authorize_callers_and_are_changed_without_a_restart(guarded: Guarded, tmp_path: Path) -> None:
    project, tokens = guarded.project, tmp_path / "tokens"
    old, new = (secrets.token_urlsafe(32) for _ in range(2))
    settings = {"AUTH": "token", "TOKENS": str(tokens)}
    assert "python3 -c 'import secrets" in project.make("deploy", ok=False, **settings)
    tokens.write_text(f"{old}\n")
    said = project.make("deploy", **settings)
    assert old not in said
    assert paste(said, TOKEN=old) == 1
    assert re.search(r"health +ready$", project.make("status", **settings), re.MULTILINE)
    log = (project.path / "store/local.log").read_text()
    assert "(AUTH=token)" in log
    assert old not in log

    def ask(token: str) -> int:
        return call(f"{project.url}/predict", project.rows(1), f"Bearer {token}")[0]

    assert [ask(old), ask(new), guarded.ask(), guarded.ask(ADMIN)] == [200, 401, 401, 401]
    with tokens.open("a") as file:
        file.write(f"{new}\n")
    wait_for(lambda: ask(new) == 200, 3)
    assert ask(old) == 200
    tokens.write_text(f"{new}\n")
    wait_for(lambda: ask(old) == 401, 3)
    assert ask(new) == 200
    for path in ("livez", "readyz", "ping", "v2/health/ready"):
        assert call(f"{project.url}/{path}")[0] == 200
    refused = r'model_refused_requests_total{code="401",reason="credentials"} [1-9]'
    assert re.search(refused, call(f"{project.url}/metrics")[1])


def test_permission_to_read_the_model_authorizes_callers(guarded: Guarded) -> None:
    said = guarded.project.make("deploy", AUTH="mlflow")
    assert f"permission to read titanic-survival in MLflow at {guarded.url}" in said
    assert ADMIN["MLFLOW_TRACKING_PASSWORD"] not in said
    assert paste(said, **READER) == 1
    assert [guarded.ask(user) for user in (ADMIN, READER, STRANGER, None)] == [200, 200, 403, 401]
    assert guarded.ask(READER, "wrong password") == 401
    assert guarded.ask(READER) == 200
    status = guarded.project.make("status", AUTH="mlflow")
    assert re.search(r"health +ready$", status, re.MULTILINE)
    assert "in sync" in status


@pytest.mark.alone
def test_change_of_permission_takes_effect_when_the_cached_one_expires(guarded: Guarded) -> None:
    guarded.permit(READER, "revoke")
    guarded.permit(STRANGER)
    wait_for(lambda: guarded.ask(READER) == 403, SECONDS + 2)
    wait_for(lambda: guarded.ask(STRANGER) == 200, SECONDS + 2)
    assert guarded.ask(ADMIN) == 200


@pytest.mark.alone
def test_nobody_is_authorized_while_the_server_is_down(guarded: Guarded) -> None:
    assert guarded.ask(ADMIN) == 200
    guarded.server.terminate()
    guarded.server.wait(30)
    wait_for(lambda: guarded.ask(ADMIN) == 503, SECONDS + 2)
    start = time.perf_counter()
    assert [guarded.ask(ADMIN), guarded.ask(READER, "never seen before"), guarded.ask()] == [503, 503, 401]
    assert time.perf_counter() - start < 2, "it is known at once"
    for path in ("livez", "readyz", "metrics"):
        assert call(f"{guarded.project.url}/{path}")[0] == 200
    status = guarded.project.make("status", AUTH="mlflow")
    assert "health    ready, but GET /model failed (503" in status
    assert "No MLflow server answers" in status
    log = (guarded.project.path / "store/local.log").read_text()
    assert log.count(f"permission check by MLflow at {guarded.url} failed") == 1
    assert ADMIN["MLFLOW_TRACKING_PASSWORD"] not in log
