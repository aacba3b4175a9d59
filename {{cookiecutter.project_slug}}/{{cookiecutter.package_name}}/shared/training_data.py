"""What training and promotion share: the rows of `model/data.py`, the criteria of `model/quality.py`, the champion."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .. import model
from ..model import data, quality, schema
from ..toolkit.common import console
from ..toolkit.common.errors import LostVersionError, UserError, attribute_errors_to
from ..toolkit.common.names import CHAMPION
from ..toolkit.contract import column_names
from ..toolkit.contract.derivation import derive
from ..toolkit.contract.schema import Contract
from ..toolkit.registry.client import Registry
from ..toolkit.release.store import Store
from ..toolkit.training import comparison, dataset, gates, labels, leakage, rounding
from ..toolkit.training.data_digest import data_digest
from ..toolkit.training.dataset import Dataset, Source
from ..toolkit.training.evaluation import ChampionMetrics, evaluate_champion
from ..toolkit.training.gates import GateResult
from ..toolkit.training.measurement import Criteria

MODEL = Path(str(model.__file__)).parent
#: Colours of the results in the table of gates.
COLOURS = {"passed": "green", "failed": "red"}


def criteria() -> Criteria:
    """Return what `model/quality.py` defines; `UserError` if the gates cannot be read."""
    return Criteria(quality.metrics, quality.SLICES, gates.parse(quality.GATES), getattr(quality, "THRESHOLD", None))


def contract() -> Contract:
    """Return the contract of `model/schema.py`; `UserError` lists the fields that are not supported."""
    return derive(schema.Row, schema.Prediction)


def features_module() -> ModuleType | None:
    """Return the module `model/features.py`, None if it is missing or has no function `features`."""
    name = f"{model.__name__}.features"
    if find_spec(name) is None:
        return None
    with attribute_errors_to(MODEL, "features.py"):
        module = import_module(name)
    if callable(getattr(module, "features", None)):
        return module
    if near := [key for key in vars(module) if "feature" in key.lower() and callable(getattr(module, key))]:
        console.warn(f"model/features.py has {near[0]}(), but no features(frame): nothing runs before the pipeline")
    return None


def load(contract: Contract, *, strict: bool = False, whole: bool = False) -> Dataset:
    """Load the rows, check them against the contract, and split them; `UserError` if they cannot be used.

    With `strict`, columns that the schema does not know are an error; with `whole`, the training rows keep their table.
    """
    with console.step("load") as step, attribute_errors_to(MODEL, "data.py"):
        table = data.load()
        step.detail = f"{len(table)} rows"
    contract = labels.with_labels(table, contract)
    with console.step("check") as step:
        rows = dataset.labelled_rows(table, contract).without_columns()
        names = column_names.check(map(str, rows.table.columns), contract)
        if names.unknown and strict:
            raise UserError(f"STRICT=1: {names.unknown}. Drop them in load(), or add them to model/schema.py.")
        step.detail = f"all rows are valid by model/schema.py ({len(contract.row)} fields)"
        step.detail += "" if contract.label_count == 1 else f"; {labels.text(contract)}"
        step.detail += f"; {names.unknown}" if names.unknown else ""
        source = Source(data_digest(rows.table), len(rows.table))
        rounded = list(rounding.warnings(rows.table, contract))
    with console.step("split") as step, attribute_errors_to(MODEL, "data.py"):
        training, holdout, classes = dataset.split_rows(data.split(rows.table), contract)
        leak = leakage.check(rows.table, training.table, holdout.table)
        step.detail = f"{len(training.label)} training rows, {len(holdout.label)} hold-out rows"
    for text in (names.unknown if names.misspelled else "", *rounded, classes, leak):
        if text:
            console.warn(text)
    if contract.task == "classification":
        contract = contract.with_classes(
            training.label if contract.label_count > 1 else dataset.classes(training.label)
        )
    return Dataset(contract, source, training if whole else training.without_table(), holdout)


def champion_metrics(registry: Registry, store: Store, rows: Dataset, criteria: Criteria) -> ChampionMetrics:
    """Return the champion's metrics on the hold-out rows, none if it cannot be compared with."""
    champion = registry.find(CHAMPION)
    if champion is None:
        return ChampionMetrics({}, "no champion to compare with yet")
    try:
        store.pull(champion, registry.download)
    except LostVersionError as error:
        return ChampionMetrics({}, f"nothing to compare with, since the champion is lost: {error}")
    return evaluate_champion(champion.number, store.load(champion.number), rows, criteria)


def show_gates(results: list[GateResult]) -> None:
    """Print the results of the gates, and what the intervals of the differences do not decide."""
    comparisons = {result.metric: result.comparison for result in results if result.comparison}
    # The difference in the place of the champion's value, which the report has too: a terminal has 80 characters.
    heading = comparison.heading(comparisons.values()) if comparisons else "champion"
    rows = [_row(result, compared=bool(comparisons)) for result in results]
    console.table(["gate", "value", "bound", heading, ""], rows, COLOURS)
    for line in comparison.notes(comparisons):
        console.say(line)


def _row(gate: GateResult, *, compared: bool) -> list[str]:
    change = gate.comparison.change if gate.comparison else "-"
    champion = change if compared else _number(gate.champion)
    return [gate.metric, _number(gate.value), gate.bound, champion, "passed" if gate.passed else "failed"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
