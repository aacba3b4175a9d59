"""What a further worker brings: the processor time of a request, with one worker on one core, two on two, and so on.

Requests a second would not say it where the load generator needs the same cores; processor time does not depend on it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from .project import environment, free_port, python, serving


class Cost(NamedTuple):
    """Workers, requests a second, microseconds of processor time for each request, and the parts of the workers."""

    workers: int
    rate: float
    microseconds: float
    parts: list[float]


def measure(project: Path, workers: int, rate: Callable[[str], float], seconds: float) -> Cost:
    """Serve with some workers on as many cores, send requests for some seconds, and return what they cost."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    cores = ["taskset", "--cpu-list", f"0-{workers - 1}"] if shutil.which("taskset") else []
    command = [*cores, python(project), "-m", "titanic_survival", "serve", "--no-pull"]
    env = environment(project, port) | {"WORKERS": str(workers)}
    with serving(command, f"{url}/readyz", project, env) as process:
        rate(url)
        before = _processor_seconds(process.pid)
        found = rate(url)
        used = [after - before.get(pid, 0) for pid, after in _processor_seconds(process.pid).items()]
    total = sum(used)
    # A master that only watches its workers is none of them.
    parts = sorted((part / total for part in used), reverse=True)[:workers]
    return Cost(workers, found, total / (found * seconds) * 1e6, parts)


def report(costs: list[Cost]) -> str:
    """Return a line for each number of workers, and what the last one brings against the first."""
    lines = []
    for cost in costs:
        parts = ", ".join(f"{part:.0%}" for part in cost.parts)
        lines.append(
            f"{cost.workers} worker{'s' if cost.workers > 1 else ''}: {cost.microseconds:.0f} microseconds of processor"
            f" time a request, in parts of {parts}; {cost.rate:,.0f} requests a second beside the load generator"
        )
    first, last = costs[0], costs[-1]
    gain = last.workers / first.workers * first.microseconds / last.microseconds
    lines.append(f"Under load from elsewhere, {last.workers} cores answer about {gain:.1f} times as much as one.")
    return "\n\n".join(lines)


def _processor_seconds(pid: int) -> dict[int, float]:
    """Return the processor time of a process and of those below it, by process."""
    root = psutil.Process(pid)
    times = {process.pid: process.cpu_times() for process in (root, *root.children(recursive=True))}
    return {number: used.user + used.system for number, used in times.items()}
