"""Why a job on Spark failed, in one sentence: Spark itself says so in tracebacks of Python within those of Java."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ...common.errors import UserError
from ..parts import Part

DEBUG = "DEBUG=1 shows the log of Spark."
#: What surrounds the message of an `ExecutorError`, as JSON, in Spark's text.
MARK = re.compile(r'<user-error>("(?:[^"\\]|\\.)*")</user-error>')
ENVIRONMENT = (
    "PYSPARK_PYTHON names the Python of the executors, whose environment must have the libraries of this project "
    "(docs/batch.md)"
)


class ExecutorError(Exception):
    """What a user reads of an error, on its way from an executor."""


def mark(error: Exception, part: Part, place: str) -> ExecutorError:
    """Return an error that carries through Spark what happened to a part, and where."""
    text = str(error)
    if not isinstance(error, UserError):
        text = f"{part.address} could not be scored: {type(error).__name__}: {text or 'no message'}. {DEBUG}"
    return ExecutorError(f"<user-error>{json.dumps(text + place)}</user-error>")


def explain(error: Exception, parts: Sequence[Part]) -> UserError:
    """Return what made a job fail, with the file, if Spark says in which task it was."""
    text = str(error)
    if found := MARK.search(text):
        return UserError(json.loads(found[1]))
    return UserError(f"{_place(text, parts)}{_reason(text)} {DEBUG}")


def _reason(text: str) -> str:
    if found := re.search(r"No module named '([\w.]+)'", text):
        return f"the executors have no library {found[1]}: {ENVIRONMENT}."
    if found := re.search(r'Cannot run program "(.+?)"', text):
        return f"the executors have no program {found[1]}: {ENVIRONMENT}."
    if "PYTHON_VERSION_MISMATCH" in text:
        return f"the executors have another version of Python: {ENVIRONMENT}."
    if re.search(r"worker exited unexpectedly|Python worker.*crashed|EOFException", text):
        return (
            "its Python process died each time that it was tried. If it was out of memory, give executors more of it "
            "(spark.executor.memoryOverhead), or fewer cores (spark.executor.cores)."
        )
    # Of a traceback, the line that has the exception is the last without indentation before Java's own.
    python = re.findall(r"^([\w.]*(?:Error|Exception)): (.+)$", text.partition("\n\tat ")[0], re.MULTILINE)
    java = re.search(r"Job aborted.*|Job \d+ cancelled.*", text)
    said = ": ".join(python[-1]) if python else java[0] if java else (text.strip().splitlines() or ["no message"])[0]
    return f"{said.rstrip('.')}."


def _place(text: str, parts: Sequence[Part]) -> str:
    found = re.search(r"Task (\d+) in stage [\d.]+ failed (\d+) times", text)
    if found and int(found[1]) < len(parts):
        return f"{parts[int(found[1])].address} could not be scored on Spark, tried {found[2]} times: "
    return "The job failed on Spark: "
