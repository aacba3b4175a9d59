"""What MLflow raises, in sentences; and its settings, which must stand before it is imported."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from urllib.parse import urlsplit

# Before MLflow is imported: it reads these once. A dead server is to be noticed in seconds, not after five minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import requests
from mlflow.exceptions import MlflowException

from ..common.errors import UserError


@contextmanager
def mlflow_errors(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow raises into one sentence with the address, what happened and the cure."""
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException) as error:
        raise UserError(describe(tracking_uri, error)) from error


def describe(uri: str, error: Exception) -> str:
    """Return what happened and the cure, in one sentence."""
    text = str(error)
    status = getattr(error, "get_http_status_code", lambda: 0)() if isinstance(error, MlflowException) else 0
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if "Invalid Host header" in text:
        return (
            f"{uri} refuses its own host name: start that MLflow server with --allowed-hosts {urlsplit(uri).hostname}."
        )
    if "error code 401" in text or status == 401:
        given = f"user {user!r} and the password given" if user else "a call without a user"
        return f"{uri} does not accept {given}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in .env."
    if "error code 403" in text or status == 403:
        return f"{uri} forbids this to {user or 'callers without a user'}: ask its administrator for EDIT permission."
    if isinstance(error, requests.exceptions.RequestException) or "API request to" in text:
        return (
            f"No MLflow server answers at {uri} ({reason(error)}). Start it, or correct MLFLOW_TRACKING_URI in the "
            "environment or .env; without it, a database in the project folder is used."
        )
    return f"MLflow at {uri}: {text.splitlines()[0] if text else type(error).__name__}"


def reason(error: BaseException) -> str:
    """Return why a server did not answer, in a few words."""
    return phrase(str(error)) or type(error).__name__


def phrase(text: str) -> str:
    """Return what of a long message says why a server did not answer."""
    phrases = ("Connection refused", "Name or service not known", "nodename nor servname", "timed out")
    return next((phrase.lower() for phrase in phrases if phrase in text), "")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's chatter and its advice on matters that the contract settles off the screen; errors still raise."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
