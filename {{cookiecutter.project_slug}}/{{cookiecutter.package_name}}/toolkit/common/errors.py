"""What a person can mend: said in a sentence, never as a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake or a missing thing outside this code; the message names it, the value and the cure."""


class RejectedError(Exception):
    """A request that is answered with an error status and one sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@contextmanager
def blamed(folder: Path, file: str = "") -> Iterator[None]:
    """Turn an error that comes from a folder of the user's into a sentence that names file and line.

    `file` is blamed for errors that no line of the folder is on the way to; without it, those pass unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        where = _line(error, folder) or file
        if not where or os.environ.get("DEBUG"):
            raise
        text = str(error).strip() or "no further words"
        message = f"{folder.name}/{where}: {type(error).__name__}: {text}\nDEBUG=1 shows the whole traceback."
        raise UserError(message) from error


def _line(error: Exception, folder: Path) -> str:
    """Return the last line of the folder's files that an error went through, "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent == folder:
        return f"{Path(error.filename).name}, line {error.lineno}"
    found, trace = "", error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.parent == folder:
            found = f"{path.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
