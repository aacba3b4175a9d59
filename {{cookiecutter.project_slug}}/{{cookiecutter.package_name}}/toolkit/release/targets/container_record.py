"""The record of the container that serves, and of the images that were deployed before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel

from ..store import Release
from .file_record import FileRecord

#: Deployments that rollback can choose from.
KEPT = 20


class ContainerDeployment(BaseModel):
    """An image that was deployed, with its release; later versions of this code read it, so keys never change."""

    image: str
    image_id: str
    release: Release


class ContainerRecord(FileRecord, ContainerDeployment):
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

    def write(self, path: Path, *, mode: int | None = 0o644) -> None:
        """Replace the record in a file; the container reads it, as another user where root deploys."""
        super().write(path, mode=mode)


def earlier(record: ContainerRecord | None) -> list[ContainerDeployment]:
    """Return the deployments up to a record, the last one first."""
    if record is None:
        return []
    last = ContainerDeployment(image=record.image, image_id=record.image_id, release=record.release)
    return [last, *record.earlier][:KEPT]
