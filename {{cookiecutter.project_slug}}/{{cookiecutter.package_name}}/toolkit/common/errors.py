"""Errors that are shown to a user as one message instead of a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake outside this code, such as a wrong setting; the message names the thing, the value and what to do."""


class RejectedError(Exception):
    """A request that is rejected: the HTTP status and the reason in one sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


#: The extra that has a library, for those that the service of ONNX models does without. `train` is of setup.py, the
#: others are files of requirements/extras.
EXTRAS = {
    **dict.fromkeys(
        ("cloudpickle", "matplotlib", "mlflow", "pandas", "psutil", "pyarrow", "requests", "skl2onnx", "sklearn"),
        "train",
    ),
    **dict.fromkeys(("cyclonedx", "jsonschema", "packageurl"), "audit"),
    "azure": "azure",
    "boto3": "s3",
    "google": "gcs",
    "psycopg2": "postgresql",
}


@contextmanager
def explain_missing_extras() -> Iterator[None]:
    """Turn the failed import of a library that an extra has into a `UserError` that names both."""
    try:
        yield
    except ModuleNotFoundError as error:
        if extra := EXTRAS.get(_library(error)):
            raise missing_library(error, extra) from error
        raise


def missing_library(error: ModuleNotFoundError, extra: str) -> UserError:
    """Return an error that says how to get a missing library: into the environment, or into the image."""
    environment = extra in ("model", "train")
    # The image sets this variable. It has no pip; what it lacks is built in.
    if "IMAGE_ENVIRONMENT" in os.environ:
        cure = f"build the image with --build-arg {'ENVIRONMENT' if environment else 'EXTRAS'}={extra}."
    else:
        cure = f"make setup{'' if environment else f' EXTRAS={extra}'} installs it (or: pip install '.[{extra}]')."
    return UserError(f"This needs {_library(error)}, which is not installed: {cure}")


def _library(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


@contextmanager
def attribute_errors_to(folder: Path, file: str = "") -> Iterator[None]:
    """Turn an exception raised by a file of a folder into a `UserError` that names the file and the line.

    `file` is named if no file of the folder is in the traceback; without `file`, such an exception passes unchanged.
    With the environment variable DEBUG, every exception does.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        location = _location(error, folder) or file
        if not location or os.environ.get("DEBUG"):
            raise
        text = str(error).strip() or "no message"
        message = f"{folder.name}/{location}: {type(error).__name__}: {text}\nDEBUG=1 shows the whole traceback."
        raise UserError(message) from error


def _location(error: Exception, folder: Path) -> str:
    """Return the innermost file and line of the traceback that lies in a folder, "" if none does."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent == folder:
        return f"{Path(error.filename).name}, line {error.lineno}"
    location, trace = "", error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == folder:
            location = f"{path.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return location
