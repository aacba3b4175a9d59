"""The target `local`: the record of its process, and how one is started or follows the store."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
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
    record.stop()
    assert record.process() is None
    assert ProcessRecord.read(path) is None
    record.stop()


def test_record_of_another_process_with_the_same_number_is_ignored(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    record = ProcessRecord.of(process.pid, 3000, RELEASE, "code")
    record.model_copy(update={"began": record.began - 60}).write(tmp_path / "local.json")
    assert ProcessRecord.read(tmp_path / "local.json") is None


def test_only_a_new_process_is_reported_as_checked(
    process: subprocess.Popen[bytes], tmp_path: Path, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.write(RELEASE)
    port, started = free_port(), []

    def start(self: Local, champion: Any) -> subprocess.Popen[bytes]:
        started.append(champion)
        return process

    monkeypatch.setattr(Local, "_start", start)
    monkeypatch.setattr(Local, "_wait_until_served", lambda self, release: True)
    target = Local(tmp_path, "package", store, "127.0.0.1", port, "code")
    assert target.apply(version).action == "checked with hold-out rows"
    assert target.apply(version).action == "the running process serves the release"
    assert started == [version]


def test_process_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path, version: Any) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__main__.py").write_text("raise SystemExit('the port is\\nbroken on purpose')")
    store = Store(tmp_path / "store")
    store.write(RELEASE)
    (store.root / "local.log").write_text("of an earlier start\n")
    target = Local(tmp_path, "broken", store, "127.0.0.1", free_port(), "code")
    with pytest.raises(UserError, match="did not start") as error:
        target.apply(version)
    assert "broken on purpose" in str(error.value)
    assert "earlier start" not in str(error.value)
    assert target.running() is None
    assert not target.remove()
