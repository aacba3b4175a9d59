"""Translation of MLflow's exceptions into messages that say what happened and what to do."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException

from ..common.errors import UserError


@contextmanager
def mlflow_errors(tracking_uri: str) -> Iterator[None]:
    """Turn MLflow's exceptions into a `UserError` with the address, what happened and what to do."""
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException) as error:
        raise UserError(describe(tracking_uri, error)) from error


def describe(uri: str, error: Exception) -> str:
    """Return what happened and what to do, in one or two sentences."""
    text = str(error)
    status = getattr(error, "get_http_status_code", lambda: 0)() if isinstance(error, MlflowException) else 0
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if "Invalid Host header" in text:
        host = urlsplit(uri).hostname
        return f"The MLflow server at {uri} rejects its own host name: start it with --allowed-hosts {host}."
    if "error code 401" in text or status == 401:
        given = f"user {user!r} with this password" if user else "a call without a user"
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
    """Return in a few words why a server did not answer."""
    return phrase(str(error)) or type(error).__name__


def phrase(text: str) -> str:
    """Return the known phrase in a long message that names the cause, "" if there is none."""
    phrases = ("Connection refused", "Name or service not known", "nodename nor servname", "timed out")
    return next((phrase.lower() for phrase in phrases if phrase in text), "")


@contextmanager
def quiet() -> Iterator[None]:
    """Hide MLflow's warnings and progress, which do not apply to models with a contract; exceptions still pass."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
