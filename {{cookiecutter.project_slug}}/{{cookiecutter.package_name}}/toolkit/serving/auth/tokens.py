"""Callers who have a token: a file holds those that are good, and may change while the service runs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from hmac import compare_digest
from pathlib import Path
from time import monotonic

from ...common.errors import RejectedError, UserError

SHORTEST = 20
#: How often the file is looked at, in seconds.
LOOK_SECONDS = 1.0
#: What may stand in an Authorization header as a token (RFC 6750).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

log = logging.getLogger(__name__)


class Tokens:
    """Lets in who sends a token of a file, as a Bearer token or, as browsers can, as the password of Basic."""

    option = '-H "Authorization: Bearer $TOKEN"'
    statuses: tuple[int, ...] = (401, 503)

    def __init__(self, path: Path) -> None:
        self._path = path
        self.words = f"Whoever sends a token of {path} may call it (AUTH=token)."
        self.schemes = {"basic": "a token as the password, with any user name", "bearer": "a token"}
        self.problem = ""
        self._digests: list[bytes] = []
        self._mark: object = None
        self._look_at = 0.0

    def load(self) -> None:
        """Read the file; `UserError` if a line of it is no good token, or if there is none."""
        self._read()
        if self.problem:
            raise UserError(self.problem)

    async def verify(self, authorization: bytes) -> None:
        """Return if the header has a good token; `RejectedError` if not."""
        self._look()
        if not self._digests:
            raise RejectedError(503, "nobody can be let in at present: the service has no tokens to compare with")
        digest, found = hashlib.sha256(_token(authorization)).digest(), False
        # All of them, always: the time that it takes says nothing of how close a guess was, or to which token.
        for good in self._digests:
            found |= compare_digest(good, digest)
        if not found:
            raise RejectedError(401, "a token is needed that the service knows: 'Authorization: Bearer <token>'")

    def _look(self) -> None:
        """Read the file again if it has changed; good lines count, and what is wrong with others is logged once."""
        now = monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if _mark(self._path) == self._mark:
            return
        self._read()
        if self.problem:
            log.error("%s", self.problem)
        else:
            log.info("%s: %d tokens", self._path, len(self._digests))

    def _read(self) -> None:
        self._mark = _mark(self._path)
        tokens, self.problem = read(self._path)
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]


def read(path: Path) -> tuple[list[str], str]:
    """Return the good tokens of a file, and what is wrong with it, "" if nothing is.

    A line holds one token; what follows a "#" is a comment.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], f"TOKENS {path} cannot be read ({getattr(error, 'strerror', 'no text')}).{_cure(path)}"
    tokens, problems = [], []
    for number, line in enumerate(lines, 1):
        token = line.partition("#")[0].strip()
        if token and not TOKEN.fullmatch(token):
            problems.append(f"line {number} is no token: one a line, of letters, digits and -._~+/=")
        elif token and len(token) < SHORTEST:
            problems.append(f"line {number} has {len(token)} characters and could be guessed: {SHORTEST} are needed")
        elif token:
            tokens.append(token)
    if not tokens and not problems:
        problems.append("it holds no token")
    return tokens, f"TOKENS {path}: {'; '.join(problems)}.{_cure(path)}" if problems else ""


def _cure(path: Path) -> str:
    return f" A good one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))' >> {path}"


def _token(authorization: bytes) -> bytes:
    """Return the token in a header, b"" if there is none."""
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            pass
    return b""


def _mark(path: Path) -> object:
    """Return something that changes with the file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
