"""A generated project to measure: made, trained and served."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def generate(folder: Path) -> Path:
    """Generate a project in a folder, set it up, train a version, put that into the store, and return its place."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bake = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--output-dir", str(folder)]
    subprocess.run(bake, check=True, stdout=subprocess.DEVNULL)
    project = folder / "titanic-survival"
    make(project, "setup")
    make(project, "train")
    make(project, "sync", "ARGS=--once")
    return project


def make(project: Path, *words: str) -> None:
    """Run a target of the project's Makefile."""
    subprocess.run(["make", *words], cwd=project, env=environment(project), check=True, stdout=sys.stderr)


def python(project: Path) -> str:
    """Return the project's Python."""
    return str(project / ".venv/bin/python")


def environment(project: Path, port: int = 0) -> dict[str, str]:
    """Return the environment of the project and of what is compared with it."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW_", "BENTOML_", "MAKE"))}
    own |= {
        "BENTOML_HOME": str(project.parent / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "OTEL_SDK_DISABLED": "true",
    }
    own |= {"PYTHONDONTWRITEBYTECODE": "", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return own | ({"PORT": str(port)} if port else {})


@contextmanager
def serving(command: list[str], ready: str, project: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the project's folder until the block ends; `ready` is a URL that answers once it is up."""
    log = log_of(project)
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=project, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not start; see {log}")
            time.sleep(0.02)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def log_of(project: Path) -> Path:
    """Return the file that servers write to."""
    return project.parent / "servers.log"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
