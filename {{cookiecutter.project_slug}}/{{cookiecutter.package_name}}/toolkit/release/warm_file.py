"""The warm version: the previous champion, which services keep in memory, so that a rollback neither pulls nor loads.

It is in a file of its own beside the release, `store/warm.json`. So it is part of no image and of no comparison with
the registry, and services of earlier templates do not see it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from ..common.scratch import scratch_file


class WarmVersion(BaseModel):
    """A version that answers nobody, with the digest of its files, and the time until which it stays in memory."""

    model_config = ConfigDict(frozen=True)

    number: int
    digest: str
    until: AwareDatetime


class WarmFile:
    """The file of a store that names its warm version."""

    def __init__(self, store: Path) -> None:
        self._path = store / "warm.json"

    def read(self) -> WarmVersion | None:
        """Return the warm version; None if there is none, its time is over, or the file cannot be read."""
        try:
            found = WarmVersion.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None
        return found if datetime.now(UTC) < found.until else None

    def write(self, warm: WarmVersion | None) -> None:
        """Replace the warm version atomically; None removes it. `OSError` leaves the one before."""
        if warm is None:
            self._path.unlink(missing_ok=True)
        elif warm != self.read():
            with scratch_file(self._path) as unfinished:
                unfinished.write_text(warm.model_dump_json(indent=1) + "\n")
                unfinished.replace(self._path)
