"""The hand-over of the listening socket between real processes, and what becomes of a process that is left alone."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port, listen, listeners
from titanic_survival.toolkit.release.instances import Instances

#: An application that answers with its process and that of its parent; /slow takes a second, /broken does not start.
APPLICATION = """
import asyncio, os

def application():
    if os.environ.get("BROKEN"):
        raise RuntimeError("broken on purpose")
    async def answer(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["path"] == "/slow":
            await asyncio.sleep(1)
        body = f"{os.getpid()} {os.getppid()}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    return answer
"""
PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from titanic_survival.toolkit.common.sockets import listen
from titanic_survival.toolkit.release.instances import Instances
from titanic_survival.toolkit.serving import server
from titanic_survival.toolkit.serving.handover import Handover

if __name__ == "__main__":
    record, instance, address, port, workers = sys.argv[1:]
    instances, bind = Instances(Path(record)), partial(listen, address, int(port))
    with Handover(instances, instance, address, int(port), workers=int(workers), bind=bind) as handover:
        arguments = "application:application", partial(instances.listener, instance), handover.http, handover.stop
        if workers == "1":
            server.serve(*arguments)
        else:
            server.serve_with_workers(int(workers), *arguments)
"""


class Deployment:
    """Instances of the application above, named by a record as a deployer does."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.instances = Instances(folder / "local.json")
        self.processes: dict[str, subprocess.Popen[str]] = {}
        (folder / "application.py").write_text(APPLICATION)
        (folder / "program.py").write_text(PROGRAM)

    def start(self, name: str, workers: int = 1, address: str = "127.0.0.1", **env: str) -> subprocess.Popen[str]:
        """Start an instance, which waits until it is named."""
        command = [sys.executable, str(self.folder / "program.py"), str(self.instances.record), name]
        process = subprocess.Popen(
            [*command, address, str(self.port), str(workers)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(self.folder), *sys.path])} | env,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        return process

    def name(self, name: str) -> None:
        """Name the instance that may listen."""
        unfinished = self.folder / "unfinished"
        unfinished.write_text(json.dumps({"instance": name}))
        unfinished.replace(self.instances.record)

    def phase(self, name: str) -> str:
        """Return the phase of an instance, "" if it does not run."""
        state = self.instances.state(name)
        return state.phase if state else ""

    def deploy(self, name: str, workers: int = 1, address: str = "127.0.0.1") -> subprocess.Popen[str]:
        """Start an instance and name it, as a deployment does."""
        with self.instances.locked("test", 1):
            process = self.start(name, workers, address)
            wait_for(lambda: self.phase(name) == "ready")
            self.name(name)
            wait_for(lambda: self.phase(name) == "serving")
        return process

    def connection(self, port: int | None = None) -> http.client.HTTPConnection:
        """Return a connection to the port."""
        return http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)

    def ask(self, path: str = "/") -> list[int]:
        """Return the answering process and its parent, by a new connection."""
        connection = self.connection()
        try:
            return answer(connection, path)
        finally:
            connection.close()


def answer(connection: http.client.HTTPConnection, path: str = "/") -> list[int]:
    """Return what the application answers on a connection."""
    connection.request("GET", path)
    return [int(number) for number in connection.getresponse().read().split()]


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Return a deployment whose processes end with the test."""
    made = Deployment(tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()
        process.communicate()


def test_instance_waits_until_the_record_names_it(deployment: Deployment) -> None:
    with deployment.instances.locked("test", 1):
        deployment.start("a")
        wait_for(lambda: deployment.phase("a") == "ready")
        with pytest.raises(ConnectionRefusedError):
            deployment.ask()
        deployment.name("a")
        wait_for(lambda: deployment.phase("a") == "serving")
    assert deployment.ask()[0] == deployment.processes["a"].pid
    modes = [path.stat().st_mode & 0o777 for path in deployment.folder.glob("local-a.*")]
    assert modes == [0o600, 0o600]


@pytest.mark.parametrize("workers", [1, 2])
def test_replacement_under_load_loses_no_request(deployment: Deployment, workers: int) -> None:
    deployment.deploy("0", workers)
    stop, failed, counts = threading.Event(), [], {"kept": 0, "new": 0}

    def ask_on_one_connection(pause: float) -> None:
        connection = deployment.connection()
        while not stop.wait(pause):
            try:
                answer(connection)
                counts["kept"] += 1
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)
                connection.close()

    def ask_on_new_connections() -> None:
        while not stop.wait(0.002):
            try:
                deployment.ask()
                counts["new"] += 1
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)

    threads = [threading.Thread(target=ask_on_one_connection, args=(0.01 + i / 20,)) for i in range(32)]
    threads += [threading.Thread(target=ask_on_new_connections) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 4):
            new = deployment.deploy(str(number), workers)
            assert deployment.processes[str(number - 1)].wait(40) == 0
            assert new.pid in deployment.ask()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert min(counts.values()) > 100


def test_old_instance_finishes_what_it_has_begun_and_asks_callers_to_close(deployment: Deployment) -> None:
    old = deployment.deploy("old")
    idle, busy, slow = deployment.connection(), deployment.connection(), deployment.connection()
    with deployment.instances.locked("test", 1):
        new = deployment.start("new")
        wait_for(lambda: deployment.phase("new") == "ready")
        assert answer(idle) == answer(busy)
        slow.request("GET", "/slow")
        deployment.name("new")
        wait_for(lambda: deployment.ask()[0] == new.pid)

    def asks_to_close() -> bool:
        busy.request("GET", "/")
        response = busy.getresponse()
        assert int(response.read().split()[0]) == old.pid
        return response.getheader("connection") == "close"

    wait_for(asks_to_close)  # a moment after the new one has begun to answer
    assert int(slow.getresponse().read().split()[0]) == old.pid
    assert answer(slow)[0] == old.pid  # it was asked before, so its answer did not say so
    assert answer(busy)[0] == answer(slow)[0] == new.pid
    assert old.wait(15) == 0  # although `idle` is open
    assert answer_after_close(idle) == new.pid


def answer_after_close(connection: http.client.HTTPConnection) -> int:
    """Return the process that answers after the server has closed a connection."""
    with pytest.raises((OSError, http.client.HTTPException)):
        answer(connection)
    connection.close()
    return answer(connection)[0]


def test_instance_whose_deployer_has_ended_ends_without_having_listened(deployment: Deployment) -> None:
    old = deployment.deploy("old")
    for workers in (1, 2):
        assert deployment.start(f"new{workers}", workers).wait(20) == 0
    assert deployment.ask()[0] == old.pid
    assert [path.name for path in deployment.folder.glob("local-new*")] == []


def test_workers_end_with_a_master_that_is_killed(deployment: Deployment) -> None:
    master = deployment.deploy("a", workers=2)
    workers = psutil.Process(master.pid).children(recursive=True)
    assert len(workers) >= 2
    master.kill()
    assert psutil.wait_procs(workers, 10)[1] == []
    listen("127.0.0.1", deployment.port).close()
    # What is left of it tells when that was; the next instance listens on the port that is free.
    assert abs(time.time() - (deployment.instances.last_alive("a") or 0)) < 15
    assert deployment.instances.serving() is None
    next_one = deployment.deploy("b")
    assert deployment.ask()[0] == next_one.pid
    deployment.instances.sweep()
    assert not deployment.instances.control("a").exists()


def test_worker_that_ends_is_replaced(deployment: Deployment) -> None:
    master = deployment.deploy("a", workers=2)
    before = deployment.ask()
    assert before[1] == master.pid
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(psutil.Process(master.pid).children()) >= 3)  # two workers, and multiprocessing's tracker
    assert {deployment.ask()[1] for _ in range(10)} == {master.pid}


@pytest.mark.parametrize("workers", [1, 2])
def test_application_that_does_not_load_ends_with_an_error(deployment: Deployment, workers: int) -> None:
    with deployment.instances.locked("test", 1):
        process = deployment.start("a", workers, BROKEN="1")
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "broken on purpose" in errors


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_master_and_its_workers(deployment: Deployment, end: int) -> None:
    master = deployment.deploy("a", workers=2)
    master.send_signal(end)
    assert master.wait(20) == 0
    assert listeners(deployment.port) == []
    assert list(deployment.folder.glob("local-*")) == []


def test_address_that_overlaps_the_old_one_is_taken_when_that_is_free(deployment: Deployment) -> None:
    old = deployment.deploy("old")
    new = deployment.deploy("new", address="0.0.0.0")
    assert old.wait(15) == 0
    assert deployment.ask()[0] == new.pid


def test_other_port_is_taken_before_the_old_instance_ends(deployment: Deployment) -> None:
    old, port = deployment.deploy("old"), deployment.port
    deployment.port = free_port()
    new = deployment.deploy("new")
    assert old.wait(15) == 0
    assert deployment.ask()[0] == new.pid
    listen("127.0.0.1", port).close()


def test_port_of_another_program_is_an_error_that_names_it(deployment: Deployment) -> None:
    with listen("127.0.0.1", deployment.port) as other:
        other.listen()
        with deployment.instances.locked("test", 1):
            _, errors = deployment.start("a").communicate(timeout=20)
        assert f"process {os.getpid()}," in errors
        with pytest.raises(UserError, match=f"process {os.getpid()}, .*PORT={deployment.port + 1}"):
            listen("127.0.0.1", deployment.port)


def test_record_that_cannot_be_read_hides_no_instance(deployment: Deployment) -> None:
    old = deployment.deploy("old")
    deployment.instances.record.write_text('{"inst')
    serving = deployment.instances.serving()
    assert serving is not None
    assert (serving.id, serving.pid, serving.port) == ("old", old.pid, deployment.port)
    new = deployment.deploy("new")
    assert old.wait(15) == 0
    assert deployment.ask()[0] == new.pid


def test_lock_names_its_holder_and_ends_with_it(deployment: Deployment) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(deployment.instances.record)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    assert deployment.instances.is_locked()
    with (
        pytest.raises(UserError, match=rf"Process {holder.pid} \(make deploy\) is changing this deployment"),
        deployment.instances.locked("test", 0.2),
    ):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not deployment.instances.is_locked()
    with deployment.instances.locked("test", 1):
        pass


HOLD = """
import sys, time
from pathlib import Path
from titanic_survival.toolkit.release.instances import Instances
with Instances(Path(sys.argv[1])).locked("make deploy", 1):
    print("held", flush=True)
    time.sleep(600)
"""


def test_folder_may_be_longer_than_the_path_of_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    folder.mkdir(parents=True)
    deployment = Deployment(folder)
    try:
        process = deployment.deploy("a")
        assert deployment.ask()[0] == process.pid
    finally:
        deployment.processes["a"].kill()
        deployment.processes["a"].communicate()


def test_nonsense_at_the_control_socket_does_no_harm(deployment: Deployment) -> None:
    process = deployment.deploy("a")
    for sent in (b"", b"\xff\xfe", b"drain!", b"x" * 10_000):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(deployment.instances.control("a")))
            caller.sendall(sent)
    assert deployment.phase("a") == "serving"
    assert deployment.ask()[0] == process.pid
