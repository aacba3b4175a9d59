"""Scratch files and folders: removed in the end, and after a process was killed by the next one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from titanic_survival.toolkit.common import scratch

OLD = time.time() - scratch.SWEEP_SECONDS - 60


def age(path: Path) -> None:
    os.utime(path, (OLD, OLD))


def test_folder_and_file_are_removed_in_the_end(tmp_path: Path) -> None:
    with scratch.scratch_folder(tmp_path, "x-") as folder, scratch.scratch_file(tmp_path / "out.csv") as file:
        (folder / "content").write_text("")
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, file.name}
        assert file.stat().st_mode & 0o777 == 0o666 & ~scratch._umask()
    with pytest.raises(ValueError, match="stop"), scratch.scratch_folder(tmp_path, "x-"):
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; from {scratch.__name__} import scratch_file, scratch_folder\n"
        "here = Path(sys.argv[1])\n"
        "with scratch_folder(here, 'x-'), scratch_file(here / 'out[1].csv'):\n"
        "    print(flush=True); sys.stdin.read()\n"
    )
    root = Path(scratch.__file__).parents[3]
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout
        process.stdout.readline()
        left = set(tmp_path.iterdir())
        assert len(left) == 2

        def next_start() -> None:
            with scratch.scratch_folder(tmp_path, "x-"), scratch.scratch_file(tmp_path / "out[1].csv"):
                pass

        for path in left:
            age(path)
        next_start()
        assert set(tmp_path.iterdir()) == left, "its process lives"
        process.kill()
        process.wait()
        for path in left:
            os.utime(path)
        next_start()
        assert set(tmp_path.iterdir()) == left, "it is young"
        for path in left:
            age(path)
        next_start()
        assert list(tmp_path.iterdir()) == []


def test_sweep_spares_what_has_another_name_or_owner_and_what_links_point_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "x-link").symlink_to(tmp_path / "precious")
    for name in ("y-1", "x-mine"):
        (tmp_path / name).mkdir()
        age(tmp_path / name)
    os.utime(tmp_path / "x-link", (OLD, OLD), follow_symlinks=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 12345)
        scratch.sweep(tmp_path, "x-*")
        assert (tmp_path / "x-mine").exists()
    scratch.sweep(tmp_path, "x-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "x-link", "y-1"]
