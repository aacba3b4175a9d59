"""Evaluation of a model on the hold-out rows: metrics, groups, gates, importance, drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..contract import dataframes
from ..contract.columns import Columns
from ..contract.schema import Contract
from ..version.artifact import Artifact
from ..version.reference_profile import Profile
from . import evidence, gates
from .dataset import Dataset
from .evidence import Predicted
from .fitting import FittedModel
from .gates import GateResult
from .importance import Importance, importance
from .measurement import Criteria, measure


class ChampionMetrics(NamedTuple):
    """The champion's metrics on the hold-out rows, empty if there is nothing to compare with, and a note on it."""

    metrics: dict[str, float]
    note: str
    number: int | None = None
    predictions: Columns | None = None


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on the hold-out rows."""

    predictions: Columns
    metrics: dict[str, float]
    groups: dict[str, int]
    gates: list[GateResult]
    champion: ChampionMetrics
    importance: Importance
    profile: Profile
    #: PSI of the hold-out rows against the training rows, by field.
    drift: dict[str, float]

    @property
    def failures(self) -> list[str]:
        """The reasons of the gates that failed."""
        return [gate.reason for gate in self.gates if not gate.passed]


def evaluate(
    model: FittedModel, data: Dataset, criteria: Criteria, champion: ChampionMetrics, seconds: float = evidence.SECONDS
) -> Evaluation:
    """Return the results of a model on the hold-out rows, with the gates compared with the champion.

    `seconds` bounds the time of the bootstrap.
    """
    predictions = model.runtime.score(data.holdout.columns)
    measured = measure(data.holdout, predictions, criteria, data.contract)
    profile = Profile.of(
        data.contract,
        training=data.training.columns,
        holdout=data.holdout.columns,
        predictions=predictions,
        label=data.holdout.label,
    )
    return Evaluation(
        predictions=predictions,
        metrics=measured.metrics,
        groups=measured.groups,
        gates=apply_gates(Predicted(predictions, measured.metrics), champion, data, criteria, seconds),
        champion=champion,
        importance=importance(model.runtime, data.holdout, data.contract),
        profile=profile,
        drift=profile.drift(data.holdout.columns),
    )


def apply_gates(
    version: Predicted,
    champion: ChampionMetrics,
    data: Dataset,
    criteria: Criteria,
    seconds: float = evidence.SECONDS,
) -> list[GateResult]:
    """Return the result of each gate for a version, compared with the champion if there is one to compare with."""
    comparisons = {}
    if champion.predictions is not None:
        other = Predicted(champion.predictions, champion.metrics)
        comparisons = evidence.compare(data.holdout, version, other, criteria, data.contract, seconds)
    return gates.evaluate(criteria.gates, version.metrics, champion.metrics, comparisons)


def evaluate_champion(number: int, champion: Artifact, data: Dataset, criteria: Criteria) -> ChampionMetrics:
    """Return the champion's metrics on the hold-out rows; none if its schema differs."""
    found = evaluate_version(champion, data, criteria)
    if found is None:
        return ChampionMetrics({}, f"not comparable with the champion, version {number}, whose schema differs", number)
    note = f"compared with the champion, version {number}"
    return ChampionMetrics(found.metrics, note, number, found.predictions)


def evaluate_version(version: Artifact, data: Dataset, criteria: Criteria) -> Predicted | None:
    """Return predictions and metrics of a version on the hold-out rows, None if its schema does not fit them."""
    columns, violations = dataframes.check_features(data.holdout.table, version.contract)
    if violations or version.contract.prediction != data.contract.prediction:
        return None
    if version.contract.label_count != data.contract.label_count:
        return None
    predictions = _in_order_of(data.contract, version.runtime.score(columns), version.contract)
    return Predicted(predictions, measure(data.holdout, predictions, criteria, data.contract).metrics)


def _in_order_of(contract: Contract, predictions: Columns, made_by: Contract) -> Columns:
    """Return predictions with their probabilities in the order of another contract, if it has the same classes."""
    # Versions before format 3 have no classes; scikit-learn's order is ascending.
    wanted, found = list(contract.classes), list(made_by.classes or sorted(contract.classes))
    if wanted == found or set(wanted) != set(found):
        return predictions
    order = [found.index(name) for name in wanted]
    changed = dict(predictions)
    if "probabilities" in changed and changed["probabilities"].shape[1:] == (len(order),):
        changed["probabilities"] = changed["probabilities"][:, order]
    if "probability" in changed:
        changed["probability"] = 1 - changed["probability"]
    return changed
