"""A cache of access decisions, by credentials, of which only salted digests are kept."""

from __future__ import annotations

import hashlib
import secrets
from time import monotonic
from typing import NamedTuple


class AccessDecision(NamedTuple):
    """What the permission check returned: 200 (authorized), 401, 403, or 503 (unavailable), and until when it holds."""

    status: int
    #: Seconds of the monotonic clock.
    expires: float


class DecisionCache:
    """Keeps the newest accepted and the newest rejected credentials.

    They are apart, so that a flood of wrong credentials cannot drive out good ones.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._salt = secrets.token_bytes(32)
        self._accepted: dict[bytes, AccessDecision] = {}
        self._rejected: dict[bytes, AccessDecision] = {}

    def key(self, authorization: bytes) -> bytes:
        """Return the key of an Authorization header; the header cannot be read from it."""
        return hashlib.blake2b(authorization, key=self._salt).digest()

    def accepted(self, key: bytes) -> AccessDecision | None:
        """Return the decision that authorizes, None if there is none or it has expired."""
        return _unexpired(self._accepted.get(key))

    def rejected(self, key: bytes) -> AccessDecision | None:
        """Return the decision that rejects, None if there is none or it has expired."""
        return _unexpired(self._rejected.get(key))

    def is_known(self, key: bytes) -> bool:
        """Whether the last check that MLflow answered has accepted these credentials, however long ago."""
        return key in self._accepted

    def store(self, key: bytes, decision: AccessDecision) -> None:
        """Keep a decision; 503 says nothing of the credentials, so what was accepted before stays."""
        if decision.status == 200:
            self._rejected.pop(key, None)
            self._put(self._accepted, key, decision)
        else:
            if decision.status != 503:
                self._accepted.pop(key, None)
            self._put(self._rejected, key, decision)

    def _put(self, decisions: dict[bytes, AccessDecision], key: bytes, decision: AccessDecision) -> None:
        decisions.pop(key, None)
        decisions[key] = decision
        if len(decisions) > self._size:
            del decisions[next(iter(decisions))]  # the oldest


def _unexpired(decision: AccessDecision | None) -> AccessDecision | None:
    return decision if decision and decision.expires > monotonic() else None
