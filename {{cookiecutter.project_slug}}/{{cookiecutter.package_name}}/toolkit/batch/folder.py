"""An output folder: one file for each part of the input, and beside each what a job knows of it, to go on later.

    <part>.parquet            rows with predictions
    _rejects/<part>.csv       its rejected rows, if there are any
    _parts/<part>.json        the part is done: its input, its version, its counts
    _parts/_job.json          the job that writes here
    _SUCCESS                  all parts are done: the version, and the sum of the counts

Readers of folders of files, Arrow and Spark among them, ignore names that begin with "_".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..common.errors import UserError
from . import formats
from .locations import Location
from .parts import Part

SUCCESS, PARTS, REJECTS, JOB = "_SUCCESS", "_parts", "_rejects", "_parts/_job.json"


class Folder(NamedTuple):
    """A folder of outputs."""

    location: Location
    #: The format of the outputs; "" for that of each input.
    format: str = ""

    @property
    def place(self) -> Path | None:
        """Where the outputs are written: the folder of this machine; None for that of temporary files."""
        return Path(self.location.path) if self.location.is_local else None

    def output(self, part: Part) -> Location:
        """Return the file of a part's rows."""
        return self.location.child(part.name + (self.format or part.format))

    def rejects(self, part: Part) -> Location:
        """Return the file of a part's rejected rows."""
        return self.location.child(f"{REJECTS}/{part.name}{formats.REJECTS}")

    def check(self, parts: Sequence[Part]) -> None:
        """Raise `UserError` if two parts have one name, or if the folder has files that no job has written."""
        names: dict[str, Part] = {}
        for part in parts:  # those of two formats too, since their rejected rows and counts have one file
            if part.name in names:
                output = self.location.child(part.name + self.format).address
                raise UserError(f"{names[part.name].address} and {part.address} would both be scored into {output}")
            names[part.name] = part
        visible = [name for name in self._names() if not name.rpartition("/")[2].startswith(".")]
        # Other programs write a file _SUCCESS too.
        if visible and JOB not in visible and self.summary() is None:
            raise UserError(
                f"{self.location.address} has files that no job has written, such as {visible[0]}; "
                "choose another OUTPUT, or empty the folder first"
            )

    def begin(self, job: dict[str, Any]) -> None:
        """Record that a job writes here, and that the folder is not complete.

        `UserError` if it has the outputs of another input, which would be lost.
        """
        before = self._job().get("input")
        if before is not None and str(before).rstrip("/") != str(job["input"]).rstrip("/"):
            raise UserError(
                f"{self.location.address} has what was scored of {before}, which would be removed; choose another "
                f"OUTPUT for {job['input']}, or empty the folder first"
            )
        self.location.child(SUCCESS).remove()
        _write(self.location.child(JOB), job)

    def done(self, part: Part, digest: str) -> dict[str, Any] | None:
        """Return the counts of a part that a version has scored; None if it was not, or if a file is another now."""
        try:
            found = json.loads(self._state(part).read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("digest") != digest or found.get("part") != _plain(part):
            return None
        counts = found.get("counts")
        if not isinstance(counts, dict) or found.get("bytes") != self.output(part).info().size:
            return None
        return counts if not counts.get("rejected") or self.rejects(part).exists() else None

    def finish(self, part: Part, digest: str, counts: dict[str, Any]) -> None:
        """Record that a part is done; its output is in its place."""
        size = self.output(part).info().size
        _write(self._state(part), {"part": _plain(part), "digest": digest, "bytes": size, "counts": counts})

    def complete(self, parts: Sequence[Part], summary: dict[str, Any]) -> None:
        """Remove what an earlier job wrote for files that the input has no longer, and record that all is done."""
        wanted, found = {part.name for part in parts}, set(self._names())
        for part in parts:  # of a job with other formats
            for name in found.intersection(part.name + format for format in formats.FORMATS):
                if name != part.name + (self.format or part.format):
                    self.location.child(name).remove()
        for state in (name for name in found if name.startswith(f"{PARTS}/") and name != JOB):
            name = state.removeprefix(f"{PARTS}/").removesuffix(".json")
            if name not in wanted:
                for path in (*(name + format for format in formats.FORMATS), f"{REJECTS}/{name}{formats.REJECTS}"):
                    self.location.child(path).remove()
                self.location.child(state).remove()
        _write(self.location.child(SUCCESS), summary)

    def summary(self) -> dict[str, Any] | None:
        """Return what a job recorded when it completed the folder; None if it is not complete."""
        try:
            found = json.loads(self.location.child(SUCCESS).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "digest" in found else None

    def _job(self) -> dict[str, Any]:
        """Return what the job before has recorded when it began."""
        try:
            found = json.loads(self.location.child(JOB).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _names(self) -> list[str]:
        """The files in the folder, relative to it."""
        prefix = len(self.location.path.rstrip("/")) + 1
        return [info.path[prefix:] for info in self.location.list()]

    def _state(self, part: Part) -> Location:
        return self.location.child(f"{PARTS}/{part.name}.json")


def _write(location: Location, content: dict[str, Any]) -> None:
    location.write_bytes(json.dumps(content, indent=1).encode())


def _plain(part: Part) -> dict[str, Any]:
    """Return a part as JSON has it."""
    return dict(json.loads(json.dumps(part._asdict())))
