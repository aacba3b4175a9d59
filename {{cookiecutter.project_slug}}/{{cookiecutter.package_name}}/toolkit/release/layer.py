"""A layer of an image: a folder as a compressed tar, the same to the byte whoever makes it.

Names are sorted; times, owners and modes are those that the Dockerfile's COPY gives.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .container_engine import TIMESTAMP

#: Versions are compressed trees of numbers for the most part: higher levels take longer and save little.
COMPRESSION = 6


class Layer(NamedTuple):
    """A layer: its file, the digest of that, and the digest of what it unpacks to."""

    file: Path
    digest: str
    diff_id: str


def write_layer(folder: Path, place: str, file: Path) -> Layer:
    """Write the layer that has a folder at a place of the image's root, such as app/store."""
    unpacked = file.with_suffix(".tar")
    with tarfile.open(unpacked, "w") as archive:
        # As COPY does: without them the folders above would get the time at which the image is unpacked.
        for parent in reversed(PurePosixPath(place).parents[:-1]):
            _add(archive, folder, str(parent))
        for path in [folder, *sorted(folder.rglob("*"))]:
            _add(archive, path, f"{place}/{path.relative_to(folder).as_posix()}".removesuffix("/."))
    # Neither a name nor a time goes into the file.
    with (
        unpacked.open("rb") as source,
        file.open("wb") as target,
        gzip.GzipFile("", "wb", COMPRESSION, target, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed)
    diff_id = digest(unpacked)
    unpacked.unlink()
    return Layer(file, digest(file), diff_id)


def digest(file: Path) -> str:
    """Return the digest of a file (sha256:...)."""
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime = int(TIMESTAMP)
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
        return
    entry.mode, entry.size = 0o644, path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(entry, file)
