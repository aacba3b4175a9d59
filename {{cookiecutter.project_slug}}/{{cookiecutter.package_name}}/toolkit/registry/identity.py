"""The current user: their name in the registry's history, and their credentials for MLflow."""

from __future__ import annotations

import base64
import getpass
import os
import socket
from functools import cache
from typing import NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds, read_mlflow_creds
from mlflow.utils.rest_utils import http_request
from requests.exceptions import RequestException

#: By the variable that a pipeline sets, those that name the person who has started it.
PIPELINES = {"GITHUB_ACTIONS": ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"), "GITLAB_CI": ("GITLAB_USER_LOGIN",)}


class Person(NamedTuple):
    """A name, and whether the MLflow server has confirmed it by a password or token; otherwise it is only stated."""

    name: str
    confirmed: bool


def person() -> Person:
    """Return the current user: the one whom the server knows, else the one in MLflow's settings, else `user@host`.

    In a pipeline, the person who has started it is added, as in "ci for ada".
    """
    confirmed = _confirmed()
    name = confirmed or read_mlflow_creds().username or f"{_user()}@{socket.gethostname()}"
    starters = [os.environ.get(key, "") for flag, keys in PIPELINES.items() if os.environ.get(flag) for key in keys]
    starter = next((one for one in starters if one and one != name), "")
    return Person(f"{name} for {starter}" if starter else name, bool(confirmed))


def who() -> str:
    """Return the name of the current user."""
    return person().name


def _confirmed() -> str:
    """Return the name by which the MLflow server knows the current user, "" if it has none."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        return ""
    try:
        return _current_user(uri, authorization())
    except (RequestException, MlflowException):
        return ""


@cache
def _current_user(uri: str, _authorization: str) -> str:
    """Return the user whom a server names as the sender of these credentials, "" if it names none."""
    path = "/api/2.0/mlflow/users/current"
    answer = http_request(get_default_host_creds(uri), path, "GET", max_retries=0, timeout=10, raise_on_status=False)
    try:
        name = answer.json()["user"]["username"]
    except (ValueError, TypeError, KeyError):
        return ""
    return name if answer.status_code == 200 and isinstance(name, str) else ""


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
