"""The record of the container that serves, and of the images that were deployed before."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ..store import Release

#: Deployments that rollback can choose from.
KEPT = 20


class ContainerDeployment(BaseModel):
    """An image that was deployed, with its release; later versions of this code read it, so keys never change."""

    image: str
    image_id: str
    release: Release


class ContainerRecord(ContainerDeployment):
    """The container that may listen, and the deployments before."""

    instance: str
    container: str
    address: str
    port: int
    #: Hash of image and settings.
    fingerprint: str
    started: datetime
    #: The last one first.
    earlier: list[ContainerDeployment] = []

    @classmethod
    def read(cls, path: Path) -> ContainerRecord | None:
        """Return the record in a file; None without one, or if it cannot be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, path: Path) -> None:
        """Replace the record in a file atomically."""
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            os.fchmod(file.fileno(), 0o644)  # the container reads it, as another user where root deploys
            file.write(self.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def earlier(record: ContainerRecord | None) -> list[ContainerDeployment]:
    """Return the deployments up to a record, the last one first."""
    if record is None:
        return []
    last = ContainerDeployment(image=record.image, image_id=record.image_id, release=record.release)
    return [last, *record.earlier][:KEPT]
