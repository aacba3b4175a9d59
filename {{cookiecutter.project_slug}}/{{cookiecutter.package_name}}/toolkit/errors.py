"""What a person can mend: said in a sentence, never as a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake or a missing thing outside this code; the message names it, the value and the cure."""


@contextmanager
def blamed(file: Path) -> Iterator[None]:
    """Turn an error raised under a file of the user's into a sentence that names file and line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if os.environ.get("DEBUG"):
            raise
        where, trace = f"model/{file.name}", error.__traceback__
        while trace:
            path = Path(trace.tb_frame.f_code.co_filename)
            if path.parent == file.parent:
                where = f"model/{path.name}, line {trace.tb_lineno}"
            trace = trace.tb_next
        text = str(error).strip() or "no further words"
        raise UserError(f"{where}: {type(error).__name__}: {text}\nDEBUG=1 shows the whole traceback.") from error
