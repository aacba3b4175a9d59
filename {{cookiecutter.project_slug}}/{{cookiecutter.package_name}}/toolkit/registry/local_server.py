"""A local MLflow server over the project's database, to look at runs and versions in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SQLITE = "sqlite:///"


def artifact_folder(uri: str) -> Path | None:
    """Return where files of runs are kept: beside the database, not in the cwd; None if a server keeps them."""
    if not uri.startswith(SQLITE):
        return None
    return Path(uri.removeprefix(SQLITE)).resolve().parent / "mlartifacts"


def run_local_server(database: str, port: int) -> int:
    """Run an MLflow server over a database until it is interrupted, and return its exit code."""
    artifacts = artifact_folder(database)
    assert artifacts is not None, database
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    command += ["--artifacts-destination", artifacts.as_uri(), "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        return subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return 0
