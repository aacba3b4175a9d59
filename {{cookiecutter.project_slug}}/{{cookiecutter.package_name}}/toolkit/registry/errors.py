"""Translation of MLflow's exceptions into messages that say what happened and what to do."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from urllib.parse import urlsplit

import requests
from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import NoSuchModuleError, OperationalError, SQLAlchemyError

from ..common.errors import UserError

#: Packages of the clients of S3, Azure and Google Cloud Storage.
STORAGE_CLIENTS = ("botocore", "boto3", "azure", "google")


@contextmanager
def mlflow_errors(tracking_uri: str) -> Iterator[None]:
    """Turn MLflow's exceptions into a `UserError` with the address, what happened and what to do."""
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException) as error:
        raise UserError(describe(tracking_uri, error)) from error
    except (SQLAlchemyError, CommandError) as error:
        raise UserError(describe_database(tracking_uri, error)) from error
    except Exception as error:
        # Clients of the storage that keeps the artifacts, none of which has to be installed.
        storage = type(error).__module__.partition(".")[0]
        if storage not in STORAGE_CLIENTS:
            raise
        text = f"The storage of MLflow's artifacts fails ({type(error).__name__}): {_first_line(error)}"
        raise UserError(f"{text} Try again later, or correct its address and credentials.") from error


def describe_database(uri: str, error: Exception) -> str:
    """Return what is wrong with the database of MLflow, and what to do."""
    # The driver's own error, where there is one.
    text = _first_line(getattr(error, "orig", None) or error)
    if isinstance(error, NoSuchModuleError):
        return f"MLFLOW_TRACKING_URI {uri}: there is no such kind of database or driver ({text})."
    return (
        f"The database of MLflow at {uri} cannot be used: {text} Restore it from a copy, or set MLFLOW_TRACKING_URI "
        "to another; of SQLite, another process may also hold it, or its disk be full or read-only."
    )


def _first_line(error: Exception) -> str:
    """Return the first line of a message as a sentence."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"{text}."


def describe(uri: str, error: Exception) -> str:
    """Return what happened and what to do, in one or two sentences."""
    if isinstance(error.__cause__, OperationalError):
        return describe_database(uri, error.__cause__)
    text, status = str(error), _status(error)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if "Invalid Host header" in text:
        host = urlsplit(uri).hostname
        return f"The MLflow server at {uri} rejects its own host name: start it with --allowed-hosts {host}."
    if status == 401:
        given = f"user {user!r} with this password" if user else "a call without a user"
        return f"{uri} does not accept {given}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in .env."
    if status == 403:
        needed = _permission(error)
        return f"{uri} forbids this to {user or 'callers without a user'}: ask its administrator for {needed}."
    if isinstance(error, requests.exceptions.RequestException) or "API request to" in text:
        if status:
            return f"The MLflow server at {uri} fails (status {status}): its log says why. Try again later."
        return (
            f"No MLflow server answers at {uri} ({reason(error)}). Start it, or correct MLFLOW_TRACKING_URI in the "
            "environment or .env; without it, a database in the project folder is used."
        )
    return f"MLflow at {uri}: {text.splitlines()[0] if text else type(error).__name__}"


def is_forbidden(error: Exception) -> bool:
    """Whether the server rejected a call for the lack of a permission."""
    return _status(error) == 403 and "Invalid Host header" not in str(error)


def _status(error: Exception) -> int:
    """Return the HTTP status with which the server answered, 0 if it is not known or nothing answered."""
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return int(error.response.status_code)
    # MLflow's exceptions have the status in their text where the body of the answer was no JSON of its own.
    found = re.search(r"error code (\d{3})\b|too many (\d{3}) error responses", str(error))
    if found:
        return int(found[1] or found[2])
    return error.get_http_status_code() if isinstance(error, MlflowException) and "API request" not in str(error) else 0


def _permission(error: Exception) -> str:
    """Return the permission that a call needs, as far as it says which call it was."""
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        path, reads = urlsplit(error.response.url).path, error.response.request.method == "GET"
    else:
        found = re.search(r"endpoint (\S+)", str(error))
        path = found[1] if found else ""
        reads = path.rpartition("/")[2].startswith(("get", "search", "list"))
    on = ""
    if re.search("registered-models|model-versions", path):
        on = " on the registered model"
    elif re.search("experiments|runs|logged-models|artifacts", path):
        on = " on the model's experiment, which has its files"
    return f"{'READ' if reads else 'EDIT'} permission{on}"


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
