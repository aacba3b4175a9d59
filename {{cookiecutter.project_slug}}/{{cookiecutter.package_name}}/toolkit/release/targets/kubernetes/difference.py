"""What `kubectl diff` prints, for people: objects that are new by name, the changed lines of others."""

from __future__ import annotations

import re

#: Fields that the API server counts, in objects that change anyway.
COUNTED = re.compile(r"^[-+] +(generation|resourceVersion|uid|creationTimestamp): ")


def readable(difference: str) -> list[str]:
    """Return the lines to show."""
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
