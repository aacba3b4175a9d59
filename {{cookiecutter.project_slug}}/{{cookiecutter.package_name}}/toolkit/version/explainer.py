"""Explanations: what each field adds to a prediction, as Shapley values over the runtime, whatever the model is.

A field outside a coalition has its values from a background sample of the training rows; the worth of a coalition is
the mean output over that sample ("interventional": Lundberg and Lee, "A unified approach to interpreting model
predictions", 2017). The contributions of all fields sum to the prediction minus the base, which is the mean output over
the background.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract
from .shapley import drawn_orders, every_coalition

#: Mixed rows for one row that is explained: values are exact as long as that is enough, and estimates above. With 50
#: background rows that are 8 fields. It is also what is scored in one call, which bounds its memory.
POINTS = 2**14
#: What a 64-bit key of a row can hold.
KEYS = 2**62


class Explanations(NamedTuple):
    """Contributions (rows, fields), base and prediction (rows,), in units of the output that is named for each row."""

    contributions: np.ndarray
    base: np.ndarray
    prediction: np.ndarray
    output: list[str]


class Explainer:
    """Explains rows against a background; a vector is one field.

    One number of a prediction is explained. Of a regression it is the label. Of a classification it is, of these, the
    first that `Prediction` has:

        probability      as it is
        probabilities    that of the class which is likeliest for the row: "probabilities[3]"
        confidence       as it is where the label is that of the row, and 0 elsewhere
        the label        a bool as 0 or 1; any other as 1 where it is that of the row, and 0 elsewhere: "species=setosa"
    """

    def __init__(self, contract: Contract, background: Columns) -> None:
        self.contract, self.background = contract, background
        self._names = [column.name for column in contract.row]
        fields, samples = len(self._names), len(background[self._names[0]])
        exact = samples * 2**fields <= POINTS
        self._plan = every_coalition(fields, samples) if exact else drawn_orders(fields, samples, POINTS)
        self._whole = int(self._plan.coalitions.all(axis=1).argmax())
        self._empty = ~self._plan.coalitions.any(axis=1)
        self._points = len(self._plan.samples)
        self._rows_at_once = max(1, POINTS // self._points)
        samples_of = [background[name] for name in self._names]
        self._keys = _Keys(samples_of, self._plan.coalitions, self._plan.samples, self._rows_at_once)

    def explain(self, columns: Columns, score: Callable[[Columns], Columns]) -> Explanations:
        """Explain one row or more; `score` is called with many times as many rows."""
        rows, step = len(columns[self._names[0]]), self._rows_at_once
        parts = [
            self._explain({name: columns[name][start : start + step] for name in self._names}, score)
            for start in range(0, rows, step)
        ]
        return Explanations(
            np.concatenate([part.contributions for part in parts]),
            np.concatenate([part.base for part in parts]),
            np.concatenate([part.prediction for part in parts]),
            [output for part in parts for output in part.output],
        )

    def _explain(self, columns: Columns, score: Callable[[Columns], Columns]) -> Explanations:
        first, same = self._keys.distinct(list(columns.values()))
        row, point = np.divmod(first, self._points)
        predictions: list[Columns] = []
        for start in range(0, len(first), POINTS):
            part = slice(start, start + POINTS)
            predictions.append(score(self._mix(columns, row[part], point[part])))
        together = {name: np.concatenate([part[name] for part in predictions]) for name in predictions[0]}
        # Where each row itself stands among those scored: for some outputs its label says which number is explained.
        whole = same[:, self._whole]
        values, output = _output(self.contract, together, whole, row)
        worth = values.astype(np.float64)[same]
        base = worth[:, self._empty].mean(axis=1)
        return Explanations(self._plan.solve(worth), base, worth[:, self._whole], output)

    def _mix(self, columns: Columns, row: np.ndarray, point: np.ndarray) -> Columns:
        """Return rows that keep the fields of the coalition at a point, and have the others from the point's sample."""
        kept, sample = self._plan.coalitions[point], self._plan.samples[point]
        return {
            name: np.where(kept[:, i].reshape(-1, *[1] * (array.ndim - 1)), array[row], self.background[name][sample])
            for i, (name, array) in enumerate(columns.items())
        }


class _Keys:
    """Finds mixed rows that are the same: where fields take few values, a fraction of them is left to be scored."""

    def __init__(self, background: list[np.ndarray], coalitions: np.ndarray, samples: np.ndarray, rows: int) -> None:
        self._known = [array[np.unique(_positions(array, array))] for array in background]
        # A digit for each field; the last value of a digit is for all that the background does not have.
        digits = [len(known) + 1 for known in self._known]
        weights = [1]
        for size in digits:
            weights.append(weights[-1] * size)
        self._all = weights.pop()
        self._points = len(samples)
        self._fits = self._all * rows < KEYS
        if self._fits:
            self._weights = np.array(weights)
            self._kept = coalitions.T.astype(np.int64)
            self._own = ((self._code(background) * self._weights)[samples] * ~coalitions).sum(axis=1)

    def _code(self, arrays: list[np.ndarray]) -> np.ndarray:
        found = [_positions(array, known) for array, known in zip(arrays, self._known, strict=True)]
        return np.stack(found, axis=1)

    def distinct(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return which mixed rows to score, as row * points + point, and for each (row, point) which of them it is."""
        rows = len(arrays[0])
        count = rows * self._points
        if not self._fits:
            return np.arange(count), np.arange(count).reshape(rows, -1)
        # Rows have keys of their own: what the background does not have is not the same in all of them.
        keys = self._own + (self._code(arrays) * self._weights) @ self._kept + self._all * np.arange(rows)[:, None]
        _, first, same = np.unique(keys, return_index=True, return_inverse=True)
        return first, same.reshape(rows, -1)


def _positions(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return for each value the first position at which it is known, the number of known ones where it is not."""
    same = values[:, None] == known[None]
    if values.dtype != object:
        same |= np.isnan(values)[:, None] & np.isnan(known)[None]
    if same.ndim == 3:
        same = same.all(axis=2)
    return np.where(same.any(axis=1), same.argmax(axis=1), len(known))


def _output(
    contract: Contract, predictions: Columns, whole: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Return the number that is explained in each prediction, and its name for each row.

    `whole` has the positions of the rows themselves among the predictions, `row` the row to which each belongs.
    """
    kinds, count = {column.name: column.kind for column in contract.prediction}, len(whole)
    label = contract.label.name
    said = predictions[label]
    if contract.task == "regression":
        return said, [label] * count
    if kinds.get("probability") == "float":
        return predictions["probability"], ["probability"] * count
    if kinds.get("probabilities") == "vector":
        chances = predictions["probabilities"]
        likeliest = chances[whole].argmax(axis=1)
        return chances[np.arange(len(row)), likeliest[row]], [f"probabilities[{i}]" for i in likeliest]
    if kinds.get("confidence") == "float":
        return np.where(said == said[whole][row], predictions["confidence"], 0), ["confidence"] * count
    if kinds[label] == "bool":
        return said, [label] * count
    return said == said[whole][row], [f"{label}={value}" for value in said[whole]]
