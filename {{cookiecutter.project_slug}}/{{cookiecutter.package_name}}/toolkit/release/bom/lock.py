"""The hashes in a lock (requirements/*.lock)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import canonicalize_name

#: SHA-256 of the files that a lock accepts, by the canonical name and the version of a distribution.
Hashes = dict[tuple[str, str], list[str]]


def hashes(locks: Iterable[Path]) -> Hashes:
    """Return the hashes in some locks; a lock that does not exist has none."""
    found: dict[tuple[str, str], set[str]] = {}
    for lock in locks:
        text = lock.read_text(encoding="utf-8") if lock.exists() else ""
        for requirement in text.replace("\\\n", " ").splitlines():
            if pinned := re.match(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", requirement):
                key = canonicalize_name(pinned[1]), pinned[2]
                found.setdefault(key, set()).update(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirement))
    return {key: sorted(values) for key, values in found.items()}
