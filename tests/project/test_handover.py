"""Deployments to this machine that are interrupted, crash or meet each other: one service on the port, a known one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from .conftest import Project, call, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def deployed(trained: Project) -> Iterator[Project]:
    """Return the project with a deployment, which ends with the test."""
    deploy(trained)
    yield trained
    trained.make("undeploy")


def command(project: Project, *words: str, **env: str) -> subprocess.Popen[str]:
    """Start a command of the project's package."""
    return subprocess.Popen(
        [str(project.path / ".venv/bin/python"), "-m", project.package, *words],
        cwd=project.path,
        env=project.env | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Under nohup, the tests and what they start ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def deploy(project: Project, **env: str) -> str:
    """Deploy, and return what was printed."""
    process = command(project, "deploy", **env)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return said


def listeners(project: Project) -> list[int]:
    """Return the processes that listen on the project's port."""
    found = [c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr[1] == project.port]
    return sorted({c.pid for c in found if c.pid})


def served_by(project: Project) -> int:
    """Return the process that `status` names."""
    found = re.search(r"^process +(\d+)", project.make("status"), re.MULTILINE)
    assert found
    return int(found[1])


def instances(project: Project) -> list[int]:
    """Return the processes that serve this project or wait to do so."""
    record = str(project.path / "store/local.json")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "--record" in words and record in words:
                found.append(process.pid)
    return found


def is_settled(project: Project) -> bool:
    """Whether one process is left, which alone listens."""
    return len(instances(project)) == 1 and listeners(project) == instances(project)


def test_two_deployments_at_once_leave_one_service(trained: Project) -> None:
    for _ in range(2):
        both = [command(trained, "deploy") for _ in range(2)]
        said = [process.communicate(timeout=300)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert is_settled(trained)
        assert served_by(trained) == instances(trained)[0]
        trained.make("undeploy")
        assert listeners(trained) == instances(trained) == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_interrupted_deployment_leaves_one_known_service(deployed: Project, end: int, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-the-test-0123456789\n")
    tokens.chmod(0o600)
    store, record = deployed.path / "store", deployed.path / "store/local.json"
    for number, moment in enumerate(("started", "loaded", "named")):
        (old,), named = instances(deployed), record.read_text()
        # Another share logged: so the process is replaced.
        process = command(deployed, "deploy", LOG_SHARE=f"0.{number + 1}")
        if moment == "named":
            wait_for(lambda named=named: record.read_text() != named, 60)
        else:
            wait_for(lambda: len(instances(deployed)) == 2, 60)
            if moment == "loaded":
                wait_for(lambda: len(list(store.glob("local-*.control"))) == 2, 60)
        process.send_signal(end)
        process.communicate(timeout=60)
        wait_for(lambda: is_settled(deployed), 60)
        if moment == "started":
            assert instances(deployed) == [old]
        assert served_by(deployed) == instances(deployed)[0]
        assert call(f"{deployed.url}/predict", deployed.rows(1))[0] == 200
    # Nothing answers without a token after a deployment that wants one.
    deploy(deployed, AUTH="token", TOKENS=str(tokens))
    assert {call(f"{deployed.url}/predict", deployed.rows(1))[0] for _ in range(40)} == {401}


def test_crash_is_reported_with_its_time_and_log(deployed: Project) -> None:
    deploy(deployed, WORKERS="2")
    master = served_by(deployed)
    workers = psutil.Process(master).children(recursive=True)
    before = time.time()
    os.kill(master, signal.SIGKILL)
    assert psutil.wait_procs(workers, 15)[1] == []
    assert listeners(deployed) == []
    said = deployed.make("status")
    found = re.search(rf"\({master}\) crashed at ([\d-]+ [\d:]+) UTC", said)
    assert found
    crashed = time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) - time.timezone
    assert abs(crashed - before) < 5
    assert "Serving version" in said
    deploy(deployed, WORKERS="2")
    assert served_by(deployed) != master


def test_damaged_record_hides_no_service(deployed: Project) -> None:
    record = deployed.path / "store/local.json"
    for content in ("missing", "", '{"pid": 12'):
        old = served_by(deployed)
        if content == "missing":
            record.unlink()
        else:
            record.write_text(content)
        assert served_by(deployed) == old
        deploy(deployed)
        wait_for(lambda: is_settled(deployed), 20)
        assert json.loads(record.read_text())["pid"] == served_by(deployed) != old
    record.write_text('{"pid": 12')
    assert "stopped" in deployed.make("undeploy")
    assert listeners(deployed) == []


def test_what_else_listens_on_the_port_is_named_by_every_command(trained: Project) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SHARE, str(trained.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdin
        other.stdout.readline()
        for target, ok in (("status", True), ("undeploy", True), ("deploy", False)):
            assert f"process {other.pid}, {sys.executable}" in trained.make(target, ok=ok), target
        assert listeners(trained) == [other.pid]
        other.stdin.close()
    assert instances(trained) == []


#: Listens on a port that it would share, as services of earlier templates do.
SHARE = """
import socket, sys
with socket.socket() as bound:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", int(sys.argv[1])))
    bound.listen()
    print("listening", flush=True)
    sys.stdin.read()
"""


def test_address_and_port_can_change(deployed: Project) -> None:
    deploy(deployed, BIND_ADDRESS="0.0.0.0")
    assert call(f"{deployed.url}/predict", deployed.rows(1))[0] == 200
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = probe.getsockname()[1]
    deploy(deployed, PORT=str(other))
    wait_for(lambda: listeners(deployed) == [], 20)
    assert call(f"http://127.0.0.1:{other}/predict", deployed.rows(1))[0] == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_over_a_store_that_does_not_load_is_an_error(trained: Project, tmp_path: Path, workers: str) -> None:
    copy = trained.copy(tmp_path / "copy")
    subprocess.run(["cp", "-r", str(trained.path / "store"), str(copy.path)], check=True)
    for file in (copy.path / "store/versions").rglob("*.onnx"):
        file.write_bytes(file.read_bytes()[:100])
    process = command(copy, "serve", "--no-pull", WORKERS=workers)
    said, _ = process.communicate(timeout=100)
    assert process.returncode != 0, said
    assert "changed after the release" in said
    assert listeners(copy) == []
