"""Features of a model's own: the function `features(frame)` of `model/features.py`, between a row and the pipeline.

It makes other columns of those of a row, and the model sees these alone. It runs inside the runtime, so that training,
service, batch and explanations give the model the same columns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..common.errors import UserError, location_of
from ..contract.columns import Columns, take
from ..contract.schema import Contract, FieldSpec
from .runtime import Runtime

if TYPE_CHECKING:
    import pandas as pd

Function = Callable[[Any], Any]
"""A DataFrame with the columns of a row in, one with as many rows and any columns out."""

Kind = Literal["number", "text"]
#: The kinds of fields as which the model sees the columns.
FIELD_KINDS: dict[Kind, Literal["float", "category"]] = {"number": "float", "text": "category"}
#: The numbers of rows whose cost is measured, each as the median of several calls.
MEASURED_ROWS, MEASURED_CALLS = (1, 1000), 5


class Features:
    """Makes the columns that the model sees of those of rows.

    `contract` is that of the rows, `kinds` has the columns that the function returned at training, in their order.
    """

    def __init__(self, function: Function, contract: Contract, kinds: Mapping[str, Kind]) -> None:
        # Not in the middle of a request; and without features, nothing here needs pandas.
        from ..contract.dataframes import as_frame

        self.function, self.kinds, self._rows, self._as_frame = function, dict(kinds), contract, as_frame

    def model_contract(self, contract: Contract) -> Contract:
        """Return a contract as that of the model behind: its rows are the columns that are made here."""
        fields = tuple(FieldSpec(name=name, kind=FIELD_KINDS[kind]) for name, kind in self.kinds.items())
        return Contract(**{name: getattr(contract, name) for name in Contract.model_fields} | {"row": fields})

    def columns(self, rows: Columns) -> Columns:
        """Return the columns of some rows; `UserError` if the function fails, or returns others than at training."""
        frame = self._as_frame(rows, self._rows)
        count = len(frame)
        made = call(self.function, frame)
        if len(made) != count:
            raise UserError(
                f"model/features.py: features() returned {len(made)} rows for {count}; it must return one for each, in "
                "the same order"
            )
        try:
            with np.errstate(over="ignore"):
                return {name: CONVERSIONS[kind](made[name]) for name, kind in self.kinds.items()}
        except KeyError as error:
            raise UserError(
                f"model/features.py: features() returned no column {error}, but did for other rows; it must return the "
                "same columns for any rows"
            ) from error
        except (TypeError, ValueError) as error:
            raise UserError(
                f"model/features.py: features() returned a column of another type than for other rows: {error}"
            ) from error

    def microseconds(self, rows: Columns) -> dict[str, float]:
        """Measure the function, its frame and the conversion of its columns: by the number of rows, "1" and "1000".

        The rows, one or more, are repeated.
        """
        found, given = {}, len(next(iter(rows.values())))
        for count in MEASURED_ROWS:
            part = take(rows, np.arange(count) % given)
            self.columns(part)  # the first call may compile or fill caches
            seconds = []
            for _ in range(MEASURED_CALLS):
                start = time.perf_counter()
                self.columns(part)
                seconds.append(time.perf_counter() - start)
            found[str(count)] = round(float(np.median(seconds)) * 1e6, 1)
        return found


class FeaturesRuntime:
    """Makes the columns of `Features`, and has the runtime behind score them."""

    #: Beside the event loop: it is Python code of any cost.
    threaded = True

    def __init__(self, features: Features, runtime: Runtime) -> None:
        self._features, self._runtime = features, runtime
        self.name = runtime.name

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`."""
        made = self._features.columns(columns)
        for name, array in made.items():
            # scikit-learn rejects infinity; ONNX models would go on with it.
            if array.dtype != object and np.isinf(array).any():
                raise UserError(f"model/features.py: features() returned an infinite number in column {name!r}")
        return self._runtime.score(made)


def call(function: Function, frame: pd.DataFrame) -> pd.DataFrame:
    """Return what the function returns for a frame; `UserError` if it fails or returns no DataFrame."""
    try:
        made = function(frame)
    except Exception as error:
        if os.environ.get("DEBUG"):
            raise
        path = Path(getattr(getattr(function, "__code__", None), "co_filename", "features.py"))
        where = location_of(error, path.parent) or "features.py"
        text = str(error).strip() or "no message"
        names = ", ".join(map(str, frame.columns[:50]))
        raise UserError(
            f"model/{where}: {type(error).__name__}: {text}. features() is given a frame with the columns {names}, NaN "
            'or "" where missing, and may be given one row; correct it for these rows. DEBUG=1 shows the traceback.'
        ) from error
    if not isinstance(made, type(frame)):
        raise UserError(f"model/features.py: features() returned {type(made).__name__}, not a pandas DataFrame")
    return made


def _numbers(values: pd.Series) -> np.ndarray:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "fiub":
        return values.to_numpy().astype(np.float32, copy=False)
    return values.to_numpy(np.float32, na_value=np.nan)


def _texts(values: pd.Series) -> np.ndarray:
    return values.to_numpy(object, na_value="")


#: What makes an array of a column: float32 with NaN, or str objects with "" where missing.
CONVERSIONS: dict[Kind, Callable[[pd.Series], np.ndarray]] = {"number": _numbers, "text": _texts}
