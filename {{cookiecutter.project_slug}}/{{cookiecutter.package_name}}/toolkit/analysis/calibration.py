"""Calibration: whether what is predicted with a probability of 0.8 is right in eight of ten rows."""

from __future__ import annotations

import numpy as np

from ..contract.schema import Contract
from . import intervals
from .labelled import LabelledSample
from .summary import CalibrationPoint

#: Equal parts of the range of probabilities; those of fewer rows are left out.
PARTS, FEWEST_ROWS = 10, 10


def points(sample: LabelledSample, contract: Contract) -> tuple[CalibrationPoint, ...]:
    """Return the calibration of a classification with probabilities of one label, else nothing.

    Of two classes it is that of the second one, of more that of the class that was predicted.
    """
    found = _probabilities(sample, contract)
    if found is None:
        return ()
    probability, is_right = found
    part = np.minimum((probability * PARTS).astype(np.int64), PARTS - 1)
    return tuple(
        CalibrationPoint(
            predicted=float(probability[here].mean()),
            observed=intervals.of_share(int(is_right[here].sum()), int(here.sum())),
        )
        for here in (part == i for i in range(PARTS))
        if here.sum() >= FEWEST_ROWS
    )


def _probabilities(sample: LabelledSample, contract: Contract) -> tuple[np.ndarray, np.ndarray] | None:
    """Return probabilities (n,), and whether the class that each is of was the actual one."""
    label, outputs = sample.rows.label, sample.predictions
    if contract.task != "classification" or label.ndim > 1:
        return None
    classes = contract.classes or tuple(np.unique(label).tolist())
    if len(classes) == 2 and "probability" in outputs:
        return outputs["probability"].astype(np.float64), label == classes[1]
    right = label == outputs[contract.label.name]
    if "probabilities" in outputs and outputs["probabilities"].ndim == 2:
        table = outputs["probabilities"].astype(np.float64)
        if len(classes) == table.shape[1] == 2:
            return table[:, 1], label == classes[1]
        return table.max(axis=1), right
    return (outputs["confidence"].astype(np.float64), right) if "confidence" in outputs else None
