"""Errors that are shown to a user as one message instead of a traceback."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .redaction import redact


class UserError(Exception):
    """A mistake outside this code, such as a wrong setting; the message names the thing, the value and what to do.

    Passwords in addresses are redacted.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class LostVersionError(UserError):
    """The files of a registered version are gone, or were changed; trying again does not bring them back."""


class RejectedError(Exception):
    """A request that is rejected: the HTTP status and the reason in one sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


#: The extra that has a library, for those that the service of ONNX models does without. `train` is of setup.py, the
#: others are files of requirements/extras.
EXTRAS = {
    **dict.fromkeys(
        (
            *("cloudpickle", "matplotlib", "mlflow", "onnxmltools", "pandas", "psutil", "pyarrow", "requests"),
            *("scipy", "skl2onnx", "sklearn"),
        ),
        "train",
    ),
    **dict.fromkeys(("cyclonedx", "jsonschema", "packageurl"), "audit"),
    **dict.fromkeys(("adbc_driver_manager", "adbc_driver_postgresql"), "postgresql"),
    "aiokafka": "kafka",
    "awslambdaric": "lambda",
    "azure": "azure",
    "boto3": "s3",
    "google": "gcs",
    "mangum": "lambda",
    **dict.fromkeys(("OpenSSL", "model_signing", "sigstore"), "sign"),
    "optuna": "tune",
    "psycopg2": "postgresql",
    "py4j": "spark",
    "pyspark": "spark",
}
#: How a library of the model's own comes into every environment; the next target of make installs it.
MODEL_CURE = "add the package that has it to the list MODEL in setup.py, then: make lock"


@contextmanager
def explain_missing_extras() -> Iterator[None]:
    """Turn the failed import of a library that an extra has into a `UserError` that names both."""
    try:
        yield
    except ModuleNotFoundError as error:
        if extra := EXTRAS.get(_library(error)):
            raise missing_library(error, extra) from error
        raise


#: What a person can fix: no space, no permission, a read-only file system, a quota, a disk that fails.
FIXABLE = {errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EFBIG}
FIXABLE |= {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


@contextmanager
def explain_os_errors(path: Path | None = None) -> Iterator[None]:
    """Turn an error of the operating system that a person can fix into a `UserError`, with the path or that given."""
    try:
        yield
    except OSError as error:
        number = error.errno or _errno_in(str(error))
        if number not in FIXABLE:
            raise
        where = path or error.filename or tempfile.gettempdir()
        raise UserError(
            f"{where}: {os.strerror(number)}. Make room, let this user write there, or choose another place."
        ) from error


def _errno_in(text: str) -> int:
    """Return the number of the error in a text, as Arrow writes it; 0 if there is none."""
    found = re.search(r"errno (\d+)", text, re.IGNORECASE)
    return int(found[1]) if found else 0


def missing_library(error: ModuleNotFoundError, extra: str) -> UserError:
    """Return an error that says how to get a missing library: into the environment, or into the image."""
    if (library := _library(error)) not in EXTRAS:
        return UserError(f"This needs {library}, which is not installed: {MODEL_CURE}")
    environment = extra in ("model", "train")
    # The image sets this variable. It has no pip; what it lacks is built in.
    if "IMAGE_ENVIRONMENT" in os.environ:
        cure = f"build the image with --build-arg {'ENVIRONMENT' if environment else 'EXTRAS'}={extra}."
    else:
        cure = f"make setup{'' if environment else f' EXTRAS={extra}'} installs it (or: pip install '.[{extra}]')."
    return UserError(f"This needs {library}, which is not installed: {cure}")


def _library(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


@contextmanager
def attribute_errors_to(folder: Path, file: str = "") -> Iterator[None]:
    """Turn an exception raised by a file of a folder into a `UserError` that names the file and the line.

    `file` is named if no file of the folder is in the traceback; without `file`, such an exception passes unchanged,
    and so does one of the platform, such as a full disk. With the environment variable DEBUG, every exception does.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        location = location_of(error, folder) or ("" if isinstance(error, OSError | MemoryError) else file)
        if not location or os.environ.get("DEBUG"):
            raise
        text = "\n".join([str(error).strip() or "no message", *getattr(error, "__notes__", ())])
        message = f"{folder.name}/{location}: {type(error).__name__}: {text}"
        if isinstance(error, ModuleNotFoundError) and _library(error) not in ("", folder.parent.name):
            message += f". If it is a library, {MODEL_CURE}"
        raise UserError(f"{message}\nDEBUG=1 shows the whole traceback.") from error


def location_of(error: Exception, folder: Path) -> str:
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
