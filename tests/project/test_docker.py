"""The target `docker`, with the engine of this machine: deploy, replace under load, fail, roll back, undeploy."""

import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from .conftest import Project, call, free_port, needed, wait_for
from .test_image import Containers
from .test_targets import RequestLoop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def containers() -> Containers:
    """Return the engine that the tests are told, or the first that there is."""
    return Containers(needed(os.environ.get("CONTAINER_ENGINE", "podman")))


@pytest.fixture(scope="module")
def deployed(project: Project, containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a copy with a version that runs in a container; its images have a name that no other test's have."""
    copy = project.copy(tmp_path_factory.mktemp("docker") / "titanic-survival")
    repository = f"localhost/test-{uuid.uuid4().hex[:8]}/titanic-survival"
    copy.env |= {"TARGET": "docker", "IMAGE_REPOSITORY": repository}
    copy.make("train")
    copy.make("deploy")
    yield copy
    copy.make("undeploy")
    images = containers("images", "--quiet", "--filter", f"reference={repository}").split()
    containers("rmi", "--force", *set(images))


def names(project: Project, containers: Containers) -> list[str]:
    """Return the containers of a project's deployment."""
    label = f"label=deployment.folder={project.path}/store/docker"
    return containers("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()


def inspected(project: Project, containers: Containers) -> dict:
    """Return what the engine knows of the one container of a deployment."""
    (name,) = names(project, containers)
    return json.loads(containers("container", "inspect", name))[0]


def test_container_serves_with_few_rights_and_logs_outside(deployed: Project, containers: Containers) -> None:
    status, answers = call(f"{deployed.url}/predict", deployed.rows(2))
    assert (status, [answer["version"] for answer in answers]) == (200, [1, 1])
    found = inspected(deployed, containers)
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert found.get("EffectiveCaps") in (None, [])
    assert not found["Config"]["User"].startswith("0")
    wait_for(lambda: any((deployed.path / "log").glob("predictions*")), 20)
    shown = deployed.make("status")
    assert re.search(r"^health +ready", shown, re.MULTILINE)
    assert re.search(rf"^image +{deployed.env['IMAGE_REPOSITORY']}:1-", shown, re.MULTILINE)
    assert re.search(r"^container +\S+, running, restarts: 0", shown, re.MULTILINE)
    assert "Nothing to do" in deployed.make("plan")


def test_container_comes_back_after_a_crash(deployed: Project, containers: Containers) -> None:
    os.kill(inspected(deployed, containers)["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: "restarts: 1" in deployed.make("status"), 60)
    wait_for(lambda: call(f"{deployed.url}/predict", deployed.rows(1))[0] == 200, 60)


def test_deploy_without_a_change_keeps_the_container(deployed: Project, containers: Containers) -> None:
    before = names(deployed, containers)
    assert "has the image" in deployed.make("deploy")
    assert names(deployed, containers) == before


def test_container_is_replaced_and_rolled_back_without_a_failed_request(
    deployed: Project, containers: Containers
) -> None:
    deployed.make("train")
    deployed.make("promote", "VERSION=2")
    assert re.search(r"^image +\S+:1-\S+ +\S+:2-", deployed.make("plan"), re.MULTILINE)
    logged = sum(path.stat().st_size for path in (deployed.path / "log").iterdir())
    with RequestLoop(deployed) as loop:
        assert loop.version == 1
        deployed.make("deploy")
        wait_for(lambda: loop.version == 2)
        assert len(names(deployed, containers)) == 1
        deployed.make("rollback", "WHY=as a test")
        wait_for(lambda: loop.version == 1)
    assert loop.failed == []
    assert len(names(deployed, containers)) == 1
    assert sum(path.stat().st_size for path in (deployed.path / "log").iterdir()) >= logged
    assert call(f"{deployed.url}/model")[1]["champion"] == 1


def test_broken_release_leaves_the_old_container(deployed: Project, containers: Containers) -> None:
    before = names(deployed, containers)
    service = deployed.path / "titanic_survival/service.py"
    code = service.read_text()
    service.write_text(code + "\nraise SystemExit('broken on purpose')\n")
    try:
        with RequestLoop(deployed) as loop:
            assert "broken on purpose" in deployed.make("deploy", ok=False)
        assert loop.failed == []
    finally:
        service.write_text(code)
    assert names(deployed, containers) == before
    assert call(f"{deployed.url}/predict", deployed.rows(1))[0] == 200


def test_settings_reach_the_container_and_no_command_line(deployed: Project, containers: Containers) -> None:
    tokens = deployed.path / "tokens"
    tokens.write_text("a-token-of-the-test-0123456789\n")
    tokens.chmod(0o600)
    if os.getuid() == 0:
        assert "chown 10001" in deployed.make("deploy", ok=False, AUTH="token")
        shutil.chown(tokens, 10001, 10001)
    wrapper = deployed.path / "bin" / containers.engine.rpartition("/")[2]
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {deployed.path}/words\nexec {containers.engine} "$@"\n')
    wrapper.chmod(0o755)
    secret = "http://user:password-of-the-test@127.0.0.1:9"
    port = str(free_port())
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    deployed.make("deploy", AUTH="token", AUTH_EXEMPT=f"/livez,/{secret}", PATH=path)
    words = (deployed.path / "words").read_text()
    assert "--env AUTH_EXEMPT" in words
    assert "password-of-the-test" not in words
    assert call(f"{deployed.url}/predict", deployed.rows(1))[0] == 401
    authorization = "Bearer a-token-of-the-test-0123456789"
    assert call(f"{deployed.url}/predict", deployed.rows(1), authorization)[0] == 200
    # A change of the port moves the service there.
    deployed.make("deploy", PORT=port)
    assert call(f"http://127.0.0.1:{port}/predict", deployed.rows(1))[0] == 200
    with pytest.raises(OSError, match="refused"):
        call(f"{deployed.url}/livez")


def test_container_from_before_a_move_of_the_project_is_removed(deployed: Project, containers: Containers) -> None:
    [name] = names(deployed, containers)
    elsewhere = deployed.path.with_name("elsewhere")
    deployed.path.rename(elsewhere)
    try:
        assert "stopped" in deployed.run("make", "undeploy", cwd=elsewhere)
    finally:
        elsewhere.rename(deployed.path)
    assert containers("ps", "--all", "--filter", f"name={name}", "--format", "{{.Names}}") == ""
    deployed.make("deploy")


def test_undeploy_removes_the_container_and_leaves_images(deployed: Project, containers: Containers) -> None:
    assert "stopped" in deployed.make("undeploy")
    assert names(deployed, containers) == []
    assert [path.name for path in (deployed.path / "store/docker").iterdir()] == ["docker.lock"]
    assert containers("images", "--quiet", "--filter", f"reference={deployed.env['IMAGE_REPOSITORY']}")
    assert "Nothing is deployed to docker" in deployed.make("status")
    with pytest.raises(OSError, match="refused"):
        call(f"{deployed.url}/livez")
    path = f"{deployed.path}/.venv/bin:/usr/sbin"
    done = subprocess.run(
        [str(deployed.path / ".venv/bin/python"), "-m", deployed.package, "deploy"],
        cwd=deployed.path,
        env=deployed.env | {"PATH": path, "CONTAINER_ENGINE": ""},
        capture_output=True,
        text=True,
    )
    assert "TARGET=docker needs docker or podman" in done.stderr
    assert done.returncode == 1
