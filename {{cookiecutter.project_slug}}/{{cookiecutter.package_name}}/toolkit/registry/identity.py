"""The current user: their name in the registry's history, and their credentials for MLflow."""

from __future__ import annotations

import base64
import getpass
import os
import socket

from mlflow.utils.credentials import read_mlflow_creds


def who() -> str:
    """Return the current user: MLflow's if one is set, else `user@host` of this machine."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have no name
        return str(os.getuid())


def authorization() -> str:
    """Return the Authorization header of the current user's requests to MLflow, "" without credentials."""
    user = read_mlflow_creds()
    if user.username and user.password:
        return "Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""
