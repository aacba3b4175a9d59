"""The target `local`: the record of its process, and how one is started or follows the store."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port, listen
from titanic_survival.toolkit.release.instances import Instances
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.release.targets.local import Local
from titanic_survival.toolkit.release.targets.process_record import ProcessRecord

RELEASE = Release.now("model", 1, {1: ("champion",)}, weights={1: 100})


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that runs until it is stopped."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_record_is_read_as_written_while_the_process_runs(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    assert ProcessRecord.read(path) is None
    record = ProcessRecord.of(process.pid, 3000, RELEASE, "code")
    record.write(path)
    assert ProcessRecord.read(path) == record
    assert [found.name for found in tmp_path.iterdir()] == ["local.json"]
    record.stop()
    assert record.process() is None
    assert ProcessRecord.read(path) == record
    record.stop()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1', "[]", "\0" * 400])
def test_torn_record_is_no_record(content: str, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    path.write_text(content)
    assert ProcessRecord.read(path) is None
    assert Instances(path).named() == ""


def test_record_of_another_process_with_the_same_number_names_none(process: subprocess.Popen[bytes]) -> None:
    record = ProcessRecord.of(process.pid, 3000, RELEASE, "code")
    assert record.process() is not None
    assert record.model_copy(update={"began": record.began - 60}).process() is None


def target(tmp_path: Path, package: str = "package", port: int = 0) -> Local:
    """Return a target whose store has a release."""
    store = Store(tmp_path / "store")
    store.write(RELEASE)
    return Local(tmp_path, package, store, "127.0.0.1", port or free_port(), "code")


def test_process_of_an_earlier_template_is_shown_and_stopped(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    local = target(tmp_path)
    record = ProcessRecord.of(process.pid, 3000, RELEASE, "code").model_dump(exclude={"instance"}, mode="json")
    (tmp_path / "store" / "local.json").write_text(json.dumps(record))
    running = local.running()
    assert running is not None
    assert running.details["process"] == str(process.pid)
    assert local.remove()
    assert not psutil.pid_exists(process.pid)
    assert local.running() is None


def test_process_that_has_crashed_is_named_with_the_end_of_its_log(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    local = target(tmp_path)
    record = ProcessRecord.of(process.pid, 3000, RELEASE, "code", "a1")
    record.write(tmp_path / "store" / "local.json")
    (tmp_path / "store" / "local.log").write_text("the first line\n" + "line\n" * 100 + "the last line\n")
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "store" / "local-a1.control"))
    os.utime(tmp_path / "store" / "local-a1.control", (0, 1_700_000_000))
    process.kill()
    process.wait()
    assert local.running() is None
    text = local.absence()
    assert f"({process.pid}) crashed at 2023-11-14 22:13:20 UTC" in text
    assert "the last line" in text
    assert "the first line" not in text
    assert not local.remove()
    assert local.absence() == ""


def test_what_else_listens_on_the_port_is_named(tmp_path: Path, version: Any) -> None:
    with listen("127.0.0.1", 0) as other:
        other.listen()
        local = target(tmp_path, port=other.getsockname()[1])
        assert f"process {os.getpid()}, {' '.join(psutil.Process().cmdline())[:40]}" in local.absence()
        with pytest.raises(UserError, match=f"process {os.getpid()}, "):
            local.apply(version)
    assert local.absence() == ""


def test_second_deployment_waits_for_the_first_or_names_it(
    tmp_path: Path, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titanic_survival.toolkit.release.targets.local.LOCK_SECONDS", 0.2)
    local = target(tmp_path)
    with Instances(tmp_path / "store" / "local.json").locked("deploy", 1):
        with pytest.raises(UserError, match=rf"Process {os.getpid()} \(deploy\) is changing this deployment"):
            local.apply(version)
        with pytest.raises(UserError, match="is changing this deployment"):
            local.remove()


def test_process_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path, version: Any) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__main__.py").write_text("raise SystemExit('the port is\\nbroken on purpose')")
    local = target(tmp_path, "broken")
    (tmp_path / "store" / "local.log").write_text("of an earlier start\n")
    with pytest.raises(UserError, match="did not start") as error:
        local.apply(version)
    assert "broken on purpose" in str(error.value)
    assert "earlier start" not in str(error.value)
    assert local.running() is None
    assert not local.remove()
