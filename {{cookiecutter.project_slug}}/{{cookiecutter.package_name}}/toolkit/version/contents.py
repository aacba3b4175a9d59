"""What a version consists of, before it is a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import orjson

from ..contract.columns import Columns, plain
from ..contract.schema import Contract
from . import artifact, formats
from .features import Features
from .reference_profile import Profile


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The parts of a version; `artifact` says what each is for."""

    contract: Contract
    #: The fitted model.
    model: Any
    #: Its export to ONNX; None where Python serves.
    onnx: bytes | None
    example: artifact.Example
    background: Columns
    profile: Profile
    details: dict[str, Any]
    card: str
    #: A requirements file, of which a copy is kept.
    lock: Path
    #: What makes the columns that the model sees; None where it sees those of the row.
    features: Features | None = None

    def save(self, folder: Path, code: ModuleType) -> artifact.Artifact:
        """Write the version to a folder and return it; `code` is the package whose code goes into the pickle."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / formats.FILE).write_text(f"{formats.CURRENT}\n")
        _pickle(self.model, code, folder / artifact.PICKLE)
        if self.onnx:
            (folder / artifact.ONNX).write_bytes(self.onnx)
        if self.features:
            _pickle(self.features.function, code, folder / artifact.FEATURES)
            (folder / artifact.FEATURE_COLUMNS).write_text(json.dumps(self.features.kinds, indent=1))
        (folder / artifact.CONTRACT).write_text(self.contract.model_dump_json(indent=1, exclude_defaults=True))
        (folder / artifact.EXAMPLE).write_text(self.example.model_dump_json(indent=1))
        background = {name: plain(array) for name, array in self.background.items()}
        (folder / artifact.BACKGROUND).write_bytes(orjson.dumps(background))
        (folder / artifact.PROFILE).write_text(self.profile.model_dump_json(indent=1))
        (folder / artifact.DETAILS).write_text(json.dumps(self.details, indent=1))
        (folder / artifact.CARD).write_text(self.card, encoding="utf-8")
        (folder / artifact.LOCK).write_bytes(self.lock.read_bytes())
        return artifact.Artifact(folder)


def _pickle(model: Any, code: ModuleType, path: Path) -> None:
    # By value: the version must outlive the next change to model/.
    cloudpickle.register_pickle_by_value(code)
    try:
        with path.open("wb") as file:
            cloudpickle.dump(model, file)
    finally:
        cloudpickle.unregister_pickle_by_value(code)
