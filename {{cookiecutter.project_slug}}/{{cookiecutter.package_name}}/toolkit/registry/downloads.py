"""The folder of a version in a download, whose files anybody may have written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlflow.models import Model

from ..common.errors import LostVersionError

#: The file that describes an MLflow model; it has the path of the version's folder.
MODEL_FILE = "MLmodel"


def place_version(download: Path, scratch: Path, to: Path, version: int) -> None:
    """Put the folder of a version at `to`, from a download; `LostVersionError` if it is not inside the download.

    It is moved if it lies in `scratch`, which is ours, and copied from anywhere else.
    """
    try:
        model = Model.load(str(download))
        found = str(model.flavors["python_function"]["artifacts"]["version"]["path"])
        folder = (download / found).resolve(strict=True)
    except Exception as error:  # whatever the file makes its readers raise
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise _lost(version, f"{MODEL_FILE} does not lead to its folder ({reason})") from error
    inside = download.resolve()
    if folder == inside or not folder.is_relative_to(inside) or not folder.is_dir():
        raise _lost(version, f"{MODEL_FILE} names {found[:200]!r}, which is no folder inside the download")
    if links := [name for name in _names(folder) if name.is_symlink()]:
        raise _lost(version, f"{links[0].name[:200]!r} is a symbolic link")
    if folder.is_relative_to(scratch.resolve()):
        folder.rename(to)
    else:
        shutil.copytree(folder, to)


def _names(folder: Path) -> list[Path]:
    return [Path(place) / name for place, folders, files in os.walk(folder) for name in (*folders, *files)]


def _lost(version: int, reason: str) -> LostVersionError:
    return LostVersionError(
        f"The files of version {version} in the registry were changed or removed: {reason}. Promote another version, "
        "or train a new one."
    )
