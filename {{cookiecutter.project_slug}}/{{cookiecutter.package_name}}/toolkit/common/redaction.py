"""Redaction: no password, token or signature of an address is shown.

Every text that a person may read passes `redact`: messages of errors, the console, log records, tracebacks, what
MLflow and the store record.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import Any

HIDDEN = "***"
#: What an address has no space and none of these in. Everything here takes time linear in the text: callers write some.
WORD = re.compile(r"""[^\s"<>]+""")
#: Where user and password begin, where their host ends, and what stands between, also percent-encoded.
START, END = re.compile("//|%2F%2F", re.IGNORECASE), re.compile("[/?#]|%2F|%3F|%23", re.IGNORECASE)
AT, COLON = re.compile("@|%40"), re.compile(":|%3A", re.IGNORECASE)
#: Parameters of an address that hold a secret, such as the signature of a presigned address.
PARAMETER = re.compile(
    r"""([?&;][\w.-]{0,40}(?:password|passwd|pwd|token|secret|signature|credential|api_?key|access_?key|\bsig)=)"""
    r"""[^&\s"'<>]+""",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return a text in which user and password of each address, and parameters with secrets, are replaced by ***."""
    if "@" in text or "%40" in text:
        text = WORD.sub(lambda word: _redact_word(word[0]), text)
    return PARAMETER.sub(rf"\1{HIDDEN}", text) if "=" in text else text


def _redact_word(word: str) -> str:
    """Return a text without spaces, in which user and password of each address are replaced."""
    last = max(word.rfind("@"), word.rfind("%40"))
    parts, done = [], 0
    while (start := START.search(word, done)) and start.end() <= last:
        end = END.search(word, start.end())
        host_end = end.start() if end else len(word)
        authority = word[start.end() : host_end]
        found = [match.start() for match in AT.finditer(authority)]
        if found:
            at = start.end() + found[-1]
        elif COLON.search(authority):  # a password with a "/" in it: no valid address, but somebody's password
            at = last
        else:
            parts.append(word[done:host_end])
            done = host_end
            continue
        parts += [word[done : start.end()], HIDDEN]
        done = at
    return "".join([*parts, word[done:]])


def redact_address(address: str) -> str:
    """Return an address without its secrets, also if its scheme is missing."""
    return redact(address) if "//" in address else redact(f"//{address}").removeprefix("//")


class RedactedRecord(logging.LogRecord):
    """A log record whose message and traceback are redacted."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.exc_info and self.exc_info[0]:
            # Formatters take this text where it is set.
            self.exc_text = redact("".join(traceback.format_exception(*self.exc_info))).rstrip("\n")

    def getMessage(self) -> str:  # noqa: N802 (logging's own name)
        """Return the redacted message."""
        return redact(super().getMessage())


def install() -> None:
    """Have log records and the traceback of an unexpected error redacted, in this process."""
    logging.setLogRecordFactory(RedactedRecord)
    sys.excepthook = lambda kind, error, trace: print_traceback(error)


def print_traceback(error: BaseException) -> None:
    """Print the redacted traceback of an error, with those of its causes."""
    sys.stderr.write(redact("".join(traceback.format_exception(error))))
