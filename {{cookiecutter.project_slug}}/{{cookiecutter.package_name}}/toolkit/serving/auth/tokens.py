"""Authentication by token: a file lists the valid tokens, and may change while the service runs."""

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
from ...common.file_state import file_state

MIN_TOKEN_LENGTH = 20
#: How often the file is checked for changes.
CHECK_SECONDS = 1.0
#: A bearer token (RFC 6750).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

log = logging.getLogger(__name__)


class TokenAuthenticator:
    """Authorizes callers who send a token of the file: a Bearer token or, as browsers can, the password of Basic."""

    curl_option = '-H "Authorization: Bearer $TOKEN"'
    statuses: tuple[int, ...] = (401, 503)

    def __init__(self, path: Path) -> None:
        self._path = path
        self.description = f"Callers need a token of {path} (AUTH=token)."
        self.schemes = {"basic": "a token as the password, with any user name", "bearer": "a token"}
        self.problem = ""
        self._digests: list[bytes] = []
        self._file_state: object = None
        self._next_check = 0.0

    def load(self) -> None:
        """Read the file; `UserError` if it has no token, or a line that is no valid one."""
        self._read()
        if self.problem:
            raise UserError(self.problem)
        if self._path.stat().st_mode & 0o007:
            log.warning("%s can be read by others on this machine: chmod 600 %s", self._path, self._path)

    async def verify(self, authorization: bytes) -> None:
        """Return if the header has a valid token; `RejectedError` 401, or 503 if the file has none."""
        self._reload_if_changed()
        if not self._digests:
            raise RejectedError(503, "authentication is unavailable: the service has no valid token to compare with")
        digest, valid = hashlib.sha256(_token(authorization)).digest(), False
        # All of them, always: the time that it takes must not tell how close a guess was, or to which token.
        for known in self._digests:
            valid |= compare_digest(known, digest)
        if not valid:
            raise RejectedError(401, "the token is missing or not valid; send 'Authorization: Bearer <token>'")

    def _reload_if_changed(self) -> None:
        """Read the file again if it has changed; valid lines count, and the problems of others are logged once."""
        now = monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        if file_state(self._path) == self._file_state:
            return
        self._read()
        if self.problem:
            log.error("%s", self.problem)
        else:
            log.info("%s: %d tokens", self._path, len(self._digests))

    def _read(self) -> None:
        self._file_state = file_state(self._path)
        tokens, self.problem = read_tokens(self._path)
        self._digests = [hashlib.sha256(token.encode()).digest() for token in tokens]


def read_tokens(path: Path) -> tuple[list[str], str]:
    """Return the valid tokens of a file, and what is wrong with it, "" if nothing is.

    A line holds one token; a comment begins with "#".
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], f"TOKENS {path} cannot be read ({getattr(error, 'strerror', 'not UTF-8 text')}).{_advice(path)}"
    tokens, problems = [], []
    for number, line in enumerate(lines, 1):
        token = line.partition("#")[0].strip()
        if token and not TOKEN.fullmatch(token):
            problems.append(f"line {number} is no token: one a line, of letters, digits and -._~+/=")
        elif token and len(token) < MIN_TOKEN_LENGTH:
            problems.append(f"line {number} has {len(token)} characters; a token needs at least {MIN_TOKEN_LENGTH}")
        elif token:
            tokens.append(token)
    if not tokens and not problems:
        problems.append("it holds no token")
    return tokens, f"TOKENS {path}: {'; '.join(problems)}.{_advice(path)}" if problems else ""


def _advice(path: Path) -> str:
    return f" To add one: (umask 077; python3 -c 'import secrets; print(secrets.token_urlsafe(32))' >> {path})"


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
