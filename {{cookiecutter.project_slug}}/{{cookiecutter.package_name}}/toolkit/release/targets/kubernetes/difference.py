"""What a deployment changes, for people: release and image, and what `kubectl diff` prints."""

from __future__ import annotations

import re

from ...store import Release
from .record import Deployed

#: Fields that the API server counts, in objects that change anyway.
COUNTED = re.compile(r"^[-+] +(generation|resourceVersion|uid|creationTimestamp): ")


def readable(difference: str) -> list[str]:
    """Return the lines to show of what `kubectl diff` prints: new objects by name, the changed lines of others."""
    lines: list[str] = []
    for part in re.split(r"^diff -u -N .*\n", difference, flags=re.MULTILINE):
        named = re.search(r"^\+\+\+ \S+/(\S+)", part, re.MULTILINE)
        if named is None:
            continue
        # group.version.Kind.namespace.name
        name = re.sub(r"^.*\.([A-Z]\w*)\.[^.]+\.", r"\1 ", f".{named[1]}")
        hunks = part[part.index("@@") :].splitlines()
        if hunks[0].startswith("@@ -0,0"):
            lines.append(f"+ {name}")
        else:
            lines += [f"~ {name}", *(f"    {line}" for line in hunks if not COUNTED.match(line))]
    return lines


def changes(now: Deployed | None, release: Release, image: str) -> list[list[str]]:
    """Return the rows of a table: what runs now, and what will after the deployment."""

    def traffic(release: Release) -> str:
        weights = release.weights or {release.champion: 100}
        return ", ".join(f"{percent} % to {number}" for number, percent in sorted(weights.items()))

    return [
        ["image", short(now.image) if now else "-", image],
        ["champion", str(now.release.champion) if now else "-", str(release.champion)],
        ["versions", now.release.summary() if now else "-", release.summary()],
        ["traffic", traffic(now.release) if now else "-", traffic(release)],
    ]


def short(image: str) -> str:
    """Return the last part of an image's name with the start of its digest."""
    name, _, digest = image.rpartition("/")[2].partition("@sha256:")
    return f"{name}@{digest[:12]}"
