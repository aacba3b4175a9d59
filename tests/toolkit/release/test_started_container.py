"""A container that is started once: what is said of an engine that hangs."""

from pathlib import Path

import pytest
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.release import started_container
from titanic_survival.toolkit.release.started_container import started_container as start


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program that stands for an engine: it writes down its commands, and those in `hanging` never end."""
    monkeypatch.setattr(started_container, "TIMEOUT_SECONDS", 1)
    program = tmp_path / "engine"
    program.write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/commands\nif grep -qx "$1" {tmp_path}/hanging; then exec sleep 60; fi\n'
    )
    program.chmod(0o755)
    return program


def commands(engine: Path) -> list[str]:
    return (engine.parent / "commands").read_text().split()


def test_engine_that_hangs_is_named_and_the_container_removed(engine: Path) -> None:
    (engine.parent / "hanging").write_text("run\n")
    with pytest.raises(UserError, match="engine run did not end within 1 s"), start(str(engine), "image"):
        pass
    assert commands(engine) == ["run", "rm"]


def test_service_that_does_not_answer_in_time_has_not_answered(engine: Path) -> None:
    (engine.parent / "hanging").write_text("exec\n")
    with start(str(engine), "image") as started:
        assert started.ask("/predict", "[]") is None
    assert commands(engine) == ["run", "exec", "rm"]


def test_container_that_cannot_be_removed_is_named(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (engine.parent / "hanging").write_text("rm\n")
    with start(str(engine), "image"):
        pass
    printed = capsys.readouterr()
    assert "could not be removed" in printed.out + printed.err
