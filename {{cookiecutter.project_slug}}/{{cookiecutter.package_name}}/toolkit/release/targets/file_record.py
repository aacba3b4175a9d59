"""Records that are kept in a file beside the store's release."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError


class FileRecord(BaseModel):
    """A record in a file of its own; later versions of this code read its JSON, so its keys never change."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the record in a file; None without one, or if it cannot be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, path: Path, *, mode: int | None = None) -> None:
        """Replace the record in a file atomically; its permissions are `mode`, or those of any new file."""
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
