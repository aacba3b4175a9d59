"""How long the service takes to start, and what each further version costs."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import psutil

from .project import environment, free_port, python, serving

#: Versions beside the first, and starts of which the median counts.
FURTHER, STARTS = 10, 3
LOAD = """
import time
from titanic_survival import config
from titanic_survival.toolkit.release.store import Store
store = Store(config.settings().store)
release = store.release()
start = time.perf_counter()
store.load(release.champion, release.digests[release.champion]).verify()
print(time.perf_counter() - start)
"""


class Startup(NamedTuple):
    """Seconds from process start to ready and to load and prove a version, and megabytes that a version takes."""

    ready: float
    load: float
    megabytes: float


def measure(project: Path) -> Startup:
    """Start the service with one version and with several, and load a version in a fresh process."""
    env = environment(project)
    load = subprocess.run([python(project), "-c", LOAD], cwd=project, env=env, check=True, stdout=subprocess.PIPE)
    starts = [_start(project, project / "store") for _ in range(STARTS)]
    many = _start(project, _with_more_versions(project))
    single = statistics.median(resident for _, resident in starts)
    ready = statistics.median(seconds for seconds, _ in starts)
    return Startup(ready, float(load.stdout), (many[1] - single) / FURTHER)


def _start(project: Path, store: Path) -> tuple[float, float]:
    """Return the seconds from process start to ready, and the memory after a few requests, in megabytes."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python(project), "-m", "titanic_survival", "serve", "--no-pull"]
    start = time.perf_counter()
    with serving(command, f"{url}/readyz", project, environment(project, port) | {"STORE": str(store)}) as process:
        seconds = time.perf_counter() - start
        release = json.loads((store / "release.json").read_bytes())
        rows = json.loads((store / "versions" / str(release["champion"]) / "example.json").read_bytes())["rows"]
        for number in release["versions"]:
            path = f"{url}/versions/{number}/predict"
            urllib.request.urlopen(path, json.dumps(rows).encode(), timeout=30).close()
        return seconds, psutil.Process(process.pid).memory_info().rss / 1e6


def _with_more_versions(project: Path) -> Path:
    """Return a store with copies of the champion beside it."""
    store = project.parent / "many"
    shutil.copytree(project / "store", store)
    path = store / "release.json"
    release = json.loads(path.read_bytes())
    champion = str(release["champion"])
    for number in range(1000, 1000 + FURTHER):
        shutil.copytree(store / "versions" / champion, store / "versions" / str(number))
        release["versions"][str(number)] = []
        release["digests"][str(number)] = release["digests"][champion]
    path.write_text(json.dumps(release))
    return store
