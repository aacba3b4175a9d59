"""What of a lock is intact."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from titanic_survival import config, lock

LOCK = (config.ROOT / "requirements" / "serve.lock").read_text()


def test_a_whole_lock_is_intact() -> None:
    for path in config.ROOT.glob("requirements/**/*.lock"):
        text = path.read_text()
        kept, broken = lock.intact(text)
        assert not broken, path
        assert "".join(entry for entries in kept.values() for entry in entries) == text.partition("make lock\n")[2]


@pytest.mark.parametrize("place", [*range(1000, 1200, 7), len(LOCK) - 1])
def test_a_lock_that_was_cut_off_keeps_its_complete_entries_alone(place: int) -> None:
    whole, _ = lock.intact(LOCK)
    kept, broken = lock.intact(LOCK[:place])
    assert broken
    assert all(whole[name] == entries for name, entries in kept.items())
    assert len(kept) < len(whole)


def test_marks_of_a_merge_and_other_text_are_no_entries() -> None:
    entries = LOCK.partition("make lock\n")[2]
    other = entries.replace("==", "==9", 1)
    merged = f"<<<<<<< HEAD\n{entries[: entries.index('aiohappy')]}=======\n{other}>>>>>>> theirs\n\x00\ufffd"
    kept, broken = lock.intact(merged)
    assert broken
    assert set(kept) == set(lock.intact(entries)[0])


def test_the_command_needs_no_library() -> None:
    # Without -S, libraries would be found; from another folder, the project itself would not.
    command = [sys.executable, "-S", "-c", f"import {config.PACKAGE}.lock"]
    done = subprocess.run(command, cwd=config.ROOT, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_uv_that_was_being_installed_is_removed_when_the_command_is_ended(tmp_path: Path) -> None:
    # Neither the environment nor the machine has uv.
    code = f"from pathlib import Path; from {config.PACKAGE} import lock; lock.ROOT = Path('/nowhere'); lock.main([])"
    environment = os.environ | {"TMPDIR": str(tmp_path), "PATH": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=config.ROOT, env=environment) as process:
        for _ in range(600):
            if list(tmp_path.glob("uv-*/**/site-packages/*")):
                break
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("uv-*"))
