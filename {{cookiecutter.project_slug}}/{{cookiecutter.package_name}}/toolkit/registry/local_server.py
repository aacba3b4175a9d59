"""A local MLflow server over the project's database, to look at runs and versions in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_local_server(database: str, artifacts: Path, port: int) -> int:
    """Run an MLflow server over a database until it is interrupted, and return its exit code."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    command += ["--artifacts-destination", artifacts.as_uri(), "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        return subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return 0
