"""A run of a generated project's Python, as a process that is measured (Linux)."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from .project import environment, python

#: Seconds between two looks at the memory of processes.
PERIOD_SECONDS = 0.1


class Run(NamedTuple):
    """A process: its duration and its processor time in seconds, its peak memory in bytes, what it printed."""

    seconds: float
    cpu: float
    peak: int
    output: str


def run(project: Path, arguments: list[str], cores: list[int] | None = None, *, with_children: bool = False) -> Run:
    """Run the project's Python, on some cores; `with_children` adds up the memory of it and its processes."""
    env = environment(project) | {"PYTHONPATH": str(project), "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    start, peak, ended = time.perf_counter(), 0, threading.Event()
    process = subprocess.Popen(
        [python(project), *arguments],
        cwd=project,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=with_children,
        preexec_fn=lambda: os.sched_setaffinity(0, cores) if cores else None,
    )

    def watch() -> None:
        nonlocal peak
        while not ended.wait(PERIOD_SECONDS):
            peak = max(peak, _memory(process.pid))

    if with_children:
        threading.Thread(target=watch, daemon=True).start()
    assert process.stdout
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{output}")
    peak = peak if with_children else used.ru_maxrss * 1024
    return Run(time.perf_counter() - start, used.ru_utime + used.ru_stime, peak, output)


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory(session: int) -> int:
    """Return the proportional set size of the processes of a session, in bytes."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except OSError:  # it has ended meanwhile
            continue
    return total
