"""Who acts: the MLflow user and the credentials that their calls have."""

from __future__ import annotations

import base64
import getpass
import os
import socket

from mlflow.utils.credentials import read_mlflow_creds


def who() -> str:
    """Return who is acting: the MLflow user where there is one, else this machine's."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or f"{getpass.getuser()}@{socket.gethostname()}"


def authorization() -> str:
    """Return the Authorization header that this user's calls to MLflow have, "" if they have none."""
    user = read_mlflow_creds()
    if user.username and user.password:
        return "Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""
