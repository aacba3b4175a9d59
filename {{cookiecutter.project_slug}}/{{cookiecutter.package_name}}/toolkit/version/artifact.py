"""What one model version contains, and how it is saved and loaded.

A version is a folder that needs nothing but this toolkit:

    contract.json       the schema it was trained with
    model.pkl           the fitted model, with the code of `model/` inside
    model.onnx          its compiled form, where that is proven to say the same
    example.json        a few rows with their predictions, against which a loaded version proves itself
    background.json     columns of some rows of the training, against which predictions are explained
    profile.json        how the training rows are distributed, with which the rows that are scored are compared
    details.json        when, from what and how it was made; metrics, gates
    card.md             the same for people
    requirements.lock   the environment of the training
"""

from __future__ import annotations

import hashlib
import json
import pickle
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from ..common.errors import UserError
from ..contract.columns import Columns, as_records, from_rows, plain
from ..contract.schema import Contract
from .explainer import Explainer
from .reference_profile import Profile
from .runtime import OnnxRuntime, PythonRuntime, Runtime

#: How far a prediction may be from the one recorded at training, relative and absolute: processors round otherwise.
TOLERANCE = 1e-5

ONNX, BACKGROUND, PROFILE = "model.onnx", "background.json", "profile.json"


class Example(BaseModel):
    """Rows as a caller would send them, and what the model said of them at training."""

    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]


class Artifact:
    """A model version on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contract = Contract.model_validate_json((folder / "contract.json").read_bytes())
        self.details: dict[str, Any] = json.loads((folder / "details.json").read_bytes())
        self.example = Example.model_validate_json((folder / "example.json").read_bytes())

    @cached_property
    def runtime(self) -> Runtime:
        """What scores rows for this version: the compiled model where there is one."""
        compiled = self.folder / ONNX
        if compiled.exists():
            return OnnxRuntime(compiled.read_bytes(), self.contract)
        with (self.folder / "model.pkl").open("rb") as file:
            return PythonRuntime(pickle.load(file), self.contract)

    @cached_property
    def explainer(self) -> Explainer:
        """What explains this version's predictions."""
        lists = orjson.loads((self.folder / BACKGROUND).read_bytes())
        kinds = {column.name: object if column.kind == "category" else np.float32 for column in self.contract.row}
        return Explainer(self.contract, {name: np.array(lists[name], kind) for name, kind in kinds.items()})

    @cached_property
    def profile(self) -> Profile:
        """What the rows that this version scores are compared with."""
        return Profile.model_validate_json((self.folder / PROFILE).read_bytes())

    def verify(self) -> None:
        """Score the example; `UserError` unless the predictions are those of the training."""
        columns = from_rows(self.example.rows, self.contract)
        now = as_records(self.runtime.score(columns), self.contract)
        if len(now) != len(self.example.predictions):
            raise UserError(f"{self.folder}: example.json has not one prediction for each row; the file was changed")
        for row, (expected, got) in enumerate(zip(self.example.predictions, now, strict=True)):
            for name, value in expected.items():
                if not _same(value, got[name]):
                    raise UserError(
                        f"{self.folder}: row {row} of example.json was predicted {name}={value} at training and "
                        f"{got[name]} now; the libraries differ from requirements.lock, or the files were changed"
                    )


def save(
    folder: Path,
    *,
    contract: Contract,
    model: Any,
    compiled: bytes | None,
    code: ModuleType,
    example: Example,
    background: Columns,
    profile: Profile,
    details: dict[str, Any],
    card: str,
    lock: Path,
) -> Artifact:
    """Write a version to a folder and return it; `code` is the package whose code goes into the pickle."""
    import cloudpickle

    folder.mkdir(parents=True, exist_ok=True)
    # By value: the version must outlive the next change to model/.
    cloudpickle.register_pickle_by_value(code)
    try:
        (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    finally:
        cloudpickle.unregister_pickle_by_value(code)
    if compiled:
        (folder / ONNX).write_bytes(compiled)
    (folder / "contract.json").write_text(contract.model_dump_json(indent=1, exclude_defaults=True))
    (folder / "example.json").write_text(example.model_dump_json(indent=1))
    (folder / BACKGROUND).write_bytes(orjson.dumps({name: plain(array) for name, array in background.items()}))
    (folder / PROFILE).write_text(profile.model_dump_json(indent=1))
    (folder / "details.json").write_text(json.dumps(details, indent=1))
    (folder / "card.md").write_text(card, encoding="utf-8")
    (folder / "requirements.lock").write_bytes(lock.read_bytes())
    return Artifact(folder)


def digest(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files below a folder."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool | str):
        return expected == got
    # As float, since JSON has null for NaN.
    numbers = np.array(expected, float), np.array(got, float)
    return np.allclose(*numbers, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
