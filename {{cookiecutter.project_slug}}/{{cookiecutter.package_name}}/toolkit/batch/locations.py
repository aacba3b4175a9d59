"""Where files of rows are: on this machine or in an object store, by one interface (`pyarrow.fs`)."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs

from ..common.errors import UserError
from ..common.scratch import scratch_file, scratch_folder
from .object_stores import explain_errors, open_store, upload

WILDCARDS = "*?["


class Location(NamedTuple):
    """A file, a folder, or a pattern of files."""

    filesystem: pa.fs.FileSystem
    #: The path as the file system has it.
    path: str
    #: The address as a user wrote it.
    address: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def is_local(self) -> bool:
        """Whether this is on a file system of this machine."""
        return isinstance(self.filesystem, pa.fs.LocalFileSystem)

    @property
    def fixed(self) -> Location:
        """The folder before the first wildcard of a pattern; names that exist have none. Without one, this itself."""
        found = self
        while any(character in found.path for character in WILDCARDS) and not found.exists():
            found = found.parent
        return found

    @property
    def is_pattern(self) -> bool:
        """Whether this is a pattern, and no file has its name."""
        return any(character in self.path[len(self.fixed.path) :] for character in WILDCARDS)

    @property
    def real(self) -> str:
        """The path without symbolic links and `..`: the same for the same file."""
        return os.path.realpath(self.path) if self.is_local else self.path.rstrip("/")

    def child(self, name: str) -> Location:
        """Return a file or folder in this folder."""
        address = name if self.address == "." else f"{self.address.rstrip('/')}/{name}"
        return Location(self.filesystem, f"{self.path.rstrip('/')}/{name}", address)

    def sibling(self, name: str) -> Location:
        """Return a file in the folder of this one."""
        return self.parent.child(name)

    @property
    def parent(self) -> Location:
        """The folder of this file."""
        path = str(PurePosixPath(self.path).parent)
        above = self.address.rstrip("/").rpartition("/")[0] or ("/" if self.address.startswith("/") else ".")
        return Location(self.filesystem, path, above)

    def info(self) -> pa.fs.FileInfo:
        """Return type, size in bytes and time of the last change."""
        with self._explained():
            return self.filesystem.get_file_info(self.path)

    def exists(self) -> bool:
        """Whether there is such a file or folder."""
        return self.info().type is not pa.fs.FileType.NotFound

    def is_folder(self) -> bool:
        """Whether this is a folder that exists."""
        return self.info().type is pa.fs.FileType.Directory

    def list(self) -> list[pa.fs.FileInfo]:
        """Return the files in this folder and the folders in it, by name; none if it does not exist."""
        if self.is_local:
            return _local_files(self)
        selector = pa.fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        with self._explained():
            infos = self.filesystem.get_file_info(selector)
            if not infos:
                bucket = self.path.partition("/")[0]
                self.filesystem.get_file_info(pa.fs.FileSelector(bucket))  # an error says that there is none
        return _files(infos)

    def read_bytes(self) -> bytes:
        """Return the content of a small file."""
        with self.filesystem.open_input_stream(self.path, compression=None) as stream:
            return bytes(stream.read())

    def write_bytes(self, content: bytes) -> None:
        """Write a small file, which appears when it is complete."""
        with pending(self) as file:
            file.path.write_bytes(content)
            file.publish()

    def remove(self) -> None:
        """Remove a file, if there is one."""
        with self._explained(), suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path)

    def check_writable(self) -> None:
        """Raise `UserError` if files cannot be written to an object store, before a job has worked for hours."""
        if self.is_local:
            return
        probe = self.sibling(f".{self.name}.probe")
        with self._explained():
            with self.filesystem.open_output_stream(probe.path, compression=None):
                pass
            with suppress(OSError):
                self.filesystem.delete_file(probe.path)

    def _explained(self) -> AbstractContextManager[None]:
        """Return a context that explains errors of an object store."""
        return nullcontext() if self.is_local else explain_errors(self.address)


def _files(infos: Iterable[pa.fs.FileInfo]) -> list[pa.fs.FileInfo]:
    return sorted((info for info in infos if info.type is pa.fs.FileType.File), key=lambda info: info.path)


def _local_files(folder: Location) -> list[pa.fs.FileInfo]:
    # Arrow would follow a link to a folder that the link lies in, again and again.
    paths = [f"{below}/{name}" for below, names in _walk(folder.path) for name in names]
    try:
        return _files(folder.filesystem.get_file_info(paths))
    except UnicodeEncodeError as error:
        raise UserError(f"{os.fsencode(error.object)!r}: the file's name is no UTF-8; rename it") from error


def _walk(path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders of a folder, each with the names of its files; links are followed, but not in circles."""

    def fail(error: OSError) -> None:
        if error.errno != errno.ENOENT:  # a folder that is gone meanwhile has no files
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    above = {path: {os.path.realpath(path)}}
    for folder, folders, names in os.walk(path, onerror=fail, followlinks=True):
        yield folder, names
        known = above.pop(folder)
        real = {name: os.path.realpath(f"{folder}/{name}") for name in folders}
        folders[:] = [name for name in folders if real[name] not in known]
        above |= {f"{folder}/{name}": known | {real[name]} for name in folders}


def locate(address: str) -> Location:
    """Return the location of a path or an address such as `s3://bucket/folder`."""
    if "://" not in address:
        return Location(pa.fs.LocalFileSystem(), str(Path(address).absolute()), address)
    filesystem, path = open_store(address)
    return Location(filesystem, path, address)


def matching(pattern: Location) -> tuple[Location, list[pa.fs.FileInfo]]:
    """Return the folder before the first wildcard of a pattern, and the files below it that match, by name."""
    base = pattern.fixed
    fixed = base.path.rstrip("/")
    expression = re.compile(re.escape(fixed) + _expression(pattern.path[len(fixed) :]), re.DOTALL)
    return base, [info for info in base.list() if expression.fullmatch(info.path)]


def _expression(pattern: str) -> str:
    """Return a pattern of paths as a regular expression; `**/` stands for any folders, or none."""
    pieces = re.split(r"(\*\*/|\*|\?|\[[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}

    def part(piece: str) -> str:
        is_set = len(piece) > 1 and piece.startswith("[")
        return known.get(piece) or (piece.replace("[!", "[^") if is_set else re.escape(piece))

    return "".join(map(part, pieces))


class Pending(NamedTuple):
    """A file that is being written: aside, on this machine, until `publish` puts it into its place."""

    path: Path
    target: Location

    def publish(self) -> None:
        """Put the complete file into its place."""
        if self.target.is_local:
            self.path.replace(self.target.path)
        else:
            upload(self.path, self.target.filesystem, self.target.path, self.target.address)


@contextmanager
def pending(target: Location) -> Iterator[Pending]:
    """Yield a file to write, which is removed in the end unless it was published."""
    if target.is_local:
        Path(target.path).parent.mkdir(parents=True, exist_ok=True)
        with scratch_file(Path(target.path)) as path:
            yield Pending(path, target)
    else:
        with scratch_folder(Path(tempfile.gettempdir()), "upload-") as folder:
            yield Pending(folder / target.name, target)
