"""Permutation importance: how much a model loses when the values of one field are shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, r2_score

from ..contract.schema import Contract
from ..version.runtime import Runtime
from .dataset import LabelledRows

#: Each field is shuffled several times; more rows and fields take longer and hardly change the result.
MAX_ROWS, MAX_FIELDS, REPEATS = 1000, 100, 5


def importance(runtime: Runtime, rows: LabelledRows, contract: Contract) -> dict[str, float]:
    """Return the loss of accuracy (of R² for a regression) when a field is shuffled, by field, largest first."""
    names = [field.name for field in contract.row][:MAX_FIELDS]
    where = np.arange(len(rows.label))[:MAX_ROWS]
    metric = r2_score if contract.task == "regression" else accuracy_score

    # scikit-learn shuffles row positions instead of values, since a vector is one field in several columns.
    def score(_: Any, positions: pd.DataFrame, actual: np.ndarray) -> float:
        columns = {name: array[positions[name] if name in names else where] for name, array in rows.columns.items()}
        return float(metric(actual, runtime.score(columns)[contract.label.name]))

    positions = pd.DataFrame(dict.fromkeys(names, where))
    result = permutation_importance(
        _Placeholder(), positions, rows.label[where], scoring=score, n_repeats=REPEATS, random_state=0
    )
    return dict(sorted(zip(names, result.importances_mean.tolist(), strict=True), key=lambda item: -item[1]))


class _Placeholder:
    """The estimator that scikit-learn requires; the scoring function uses the runtime instead."""

    def fit(self, *_: Any) -> None: ...
