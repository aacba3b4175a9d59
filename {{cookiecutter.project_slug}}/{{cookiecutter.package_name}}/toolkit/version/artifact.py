"""A model version on disk: its files, and how it is loaded and verified.

A version is a folder that needs nothing but this toolkit:

    format              the number of the folder's format, see `formats`
    contract.json       the schema it was trained with
    model.pkl           the fitted model, with the code of `model/` inside
    model.onnx          its export to ONNX, where that passed the parity check
    features.pkl        the function of `model/features.py`, which makes the columns that the model sees; may be missing
    features.json       these columns and their kinds
    example.json        a few rows with their predictions, against which a loaded version is verified
    background.json     columns of some training rows, against which predictions are explained
    profile.json        the reference profile: distributions of the training rows and of the predictions
    details.json        when, from what and how it was made; metrics, gates
    card.md             the same for people
    requirements.lock   the environment of the training
    model.sig           the signature of all other files, see `signature`; may be missing
"""

from __future__ import annotations

import hashlib
import pickle
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from ..common.errors import UserError, missing_library
from ..contract.columns import as_records, from_rows
from ..contract.schema import Contract
from . import formats
from .explainer import Explainer
from .features import Features, FeaturesRuntime
from .reference_profile import Profile
from .runtime import OnnxRuntime, PythonRuntime, Runtime

#: Predictions that differ by no more, relative or absolute, count as equal: in the parity check of the export, and when
#: a version is verified. float32 has seven digits, of which sums lose some, and processors round differently.
TOLERANCE = 1e-5

CONTRACT, EXAMPLE, BACKGROUND = "contract.json", "example.json", "background.json"
PROFILE, DETAILS, CARD = "profile.json", "details.json", "card.md"
PICKLE, ONNX, LOCK = "model.pkl", "model.onnx", "requirements.lock"
FEATURES, FEATURE_COLUMNS = "features.pkl", "features.json"


class Example(BaseModel):
    """Rows as a caller would send them, and their predictions at training."""

    rows: list[dict[str, Any]]
    predictions: list[dict[str, Any]]


class Artifact:
    """A model version on disk; `UserError` if its format is newer than this toolkit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contract = Contract.model_validate(formats.read(folder, CONTRACT))
        self.details = formats.read(folder, DETAILS)
        self.example = Example.model_validate(formats.read(folder, EXAMPLE))

    @property
    def has_onnx(self) -> bool:
        """Whether ONNX Runtime scores its rows, and not Python."""
        return (self.folder / ONNX).exists()

    @property
    def has_features(self) -> bool:
        """Whether a function in Python makes the columns that the model sees."""
        return (self.folder / FEATURES).exists()

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime that scores rows for this version."""
        if self.features is None:
            return self._runtime(self.contract)
        return FeaturesRuntime(self.features, self._runtime(self.features.model_contract(self.contract)))

    def _runtime(self, contract: Contract) -> Runtime:
        """Return the runtime of the model itself; `contract` has the columns that it sees as rows."""
        if self.has_onnx:
            return OnnxRuntime((self.folder / ONNX).read_bytes(), contract)
        return PythonRuntime(self._unpickled(PICKLE), contract)

    @cached_property
    def features(self) -> Features | None:
        """What makes the columns that the model sees; None where it sees those of the row."""
        if not self.has_features:
            return None
        return Features(self._unpickled(FEATURES), self.contract, formats.read(self.folder, FEATURE_COLUMNS))

    def _unpickled(self, file: str) -> Any:
        try:
            # As every DataFrame needs it, and as an import in the middle of a request would be too late.
            import pandas  # noqa: F401

            with (self.folder / file).open("rb") as opened:
                return pickle.load(opened)
        except ModuleNotFoundError as error:
            raise missing_library(error, "model") from error

    @cached_property
    def explainer(self) -> Explainer:
        """The explainer of this version's predictions."""
        lists = formats.read(self.folder, BACKGROUND)
        dtypes = {field.name: object if field.is_text else np.float32 for field in self.contract.row}
        return Explainer(self.contract, {name: np.array(lists[name], dtype) for name, dtype in dtypes.items()})

    @cached_property
    def profile(self) -> Profile:
        """The reference profile, with which scored rows are compared."""
        return Profile.model_validate(formats.read(self.folder, PROFILE))

    def verify(self) -> None:
        """Score the example; `UserError` unless the predictions are those of the training."""
        columns = from_rows(self.example.rows, self.contract)
        predictions = as_records(self.runtime.score(columns), self.contract)
        if len(predictions) != len(self.example.predictions):
            raise UserError(f"{self.folder}: {EXAMPLE} does not have one prediction for each row; the file was changed")
        for row, (expected, predicted) in enumerate(zip(self.example.predictions, predictions, strict=True)):
            for name, value in expected.items():
                if not is_close(value, predicted[name]):
                    raise UserError(
                        f"{self.folder}: row {row} of {EXAMPLE} was predicted {name}={value} at training and "
                        f"{predicted[name]} now; the libraries differ from {LOCK}, or the files were changed"
                    )


def pickles(folder: Path) -> list[str]:
    """Return the files of a version that are opened as a pickle when it is loaded: none where ONNX serves alone."""
    opened = {PICKLE: not (folder / ONNX).exists(), FEATURES: (folder / FEATURES).exists()}
    return [name for name, is_opened in opened.items() if is_opened]


def digest(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files below a folder.

    A symbolic link counts as a file that no version has: what it points to is no part of the folder.
    """
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink()):
        if path.is_symlink():
            total.update(f"{path.relative_to(folder).as_posix()} is a link\n".encode())
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()


def same_predictions(expected: list[dict[str, Any]], predicted: list[dict[str, Any]]) -> bool:
    """Whether predictions are those of the training, but for the tolerance; a service adds fields, such as the id."""
    return len(expected) == len(predicted) and all(
        name in row and is_close(value, row[name])
        for wanted, row in zip(expected, predicted, strict=True)
        for name, value in wanted.items()
    )


def is_close(expected: Any, predicted: Any) -> bool:
    """Whether a value of a prediction is the one of the training, but for the tolerance."""
    if isinstance(expected, bool | str):
        return expected == predicted
    if isinstance(expected, dict):
        same = isinstance(predicted, dict) and expected.keys() == predicted.keys()
        return same and all(is_close(value, predicted[name]) for name, value in expected.items())
    # As float, since JSON has null for NaN.
    numbers = np.array(expected, float), np.array(predicted, float)
    return np.allclose(*numbers, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
