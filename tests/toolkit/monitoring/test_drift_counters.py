"""The reference profile of a version, and the counters beside it."""

import json
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel
from titanic_survival.model import data
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.contract.json_rows import RowParser
from titanic_survival.toolkit.contract.schema import Contract, FieldSpec
from titanic_survival.toolkit.monitoring.version_counters import VersionCounters
from titanic_survival.toolkit.version.artifact import Artifact
from titanic_survival.toolkit.version.reference_profile import Profile


class Row(BaseModel):
    """A number and a category."""

    amount: float | None
    colour: Literal["red", "green"]


class Prediction(BaseModel):
    """A number and a bool."""

    price: float
    cheap: bool


CONTRACT = derive(Row, Prediction)
ROWS = 1000


def drawn(seed: int, rows: int = ROWS) -> tuple[Columns, Columns]:
    """Return rows and predictions."""
    random = np.random.default_rng(seed)
    amount = random.normal(size=rows).astype(np.float32)
    colour = random.choice(np.array(["red", "green"], object), rows)
    return {"amount": amount, "colour": colour}, {"price": amount * 2, "cheap": amount < 0}


@pytest.fixture(scope="module")
def profile() -> Profile:
    (training, _), (holdout, predictions) = drawn(0), drawn(1)
    label = predictions["price"].astype(np.float64) + np.where(np.arange(ROWS) % 2, 1, -3)
    return Profile.of(CONTRACT, training=training, holdout=holdout, predictions=predictions, label=label)


def stand(profile: Profile, contract: Contract = CONTRACT, **quality: float) -> Any:
    """Return what stands for a version of this profile."""
    return SimpleNamespace(profile=profile, contract=contract, details={"metrics": quality})


def shown(version: int) -> dict[tuple[str, ...], float]:
    """Return what /metrics would show of a version, over all processes."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "version")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.labels.get("version") == str(version)
    }


def test_quality_has_the_metrics_of_feedback(profile: Profile) -> None:
    assert profile.quality == pytest.approx({"mean_absolute_error": 2, "root_mean_squared_error": 5**0.5})
    (training, _), (holdout, predictions) = drawn(0), drawn(1)
    contract = Contract(row=CONTRACT.row, prediction=CONTRACT.prediction[::-1])
    label = predictions["cheap"] ^ (np.arange(ROWS) < 100)
    made = Profile.of(contract, training=training, holdout=holdout, predictions=predictions, label=label)
    assert made.quality == {"accuracy": 0.9}


def test_predictions_that_are_no_numbers_do_not_stop_the_training() -> None:
    (training, predictions) = drawn(0)
    predictions["price"][:] = np.nan
    made = Profile.of(CONTRACT, training=training, holdout=training, predictions=predictions, label=np.zeros(ROWS))
    assert made.quality == {}
    assert Profile.model_validate_json(made.model_dump_json()) == made


def test_drift_is_largest_in_the_feature_that_changed(profile: Profile) -> None:
    columns, _ = drawn(2)
    assert max(profile.drift(columns).values()) < 0.1
    drift = profile.drift(columns | {"colour": np.full(ROWS, "red", object)})
    assert list(drift) == ["colour", "amount"]
    assert drift["colour"] > 0.25 > drift["amount"]


def test_everything_is_shown_before_anything_is_counted(profile: Profile) -> None:
    VersionCounters(101, stand(profile, profit=5.0, **{"profit/colour/red": 7.0}))
    now = shown(101)
    for kind, columns in (("feature", profile.features), ("output", profile.outputs)):
        for name, bins in columns.items():
            for bin_, share in zip(bins.names, bins.shares, strict=True):
                assert now[f"model_{kind}_bin_rows_total", bin_, name] == 0
                assert now[f"model_{kind}_reference_share", bin_, name] == pytest.approx(share)
    assert now["model_outlier_rows_total",] == 0
    assert now["model_outlier_reference_share",] == pytest.approx(profile.outliers.rate)
    quality = {key[1]: value for key, value in now.items() if key[0] == "model_reference_quality"}
    assert quality == pytest.approx(profile.quality | {"profit": 5})
    assert now["model_requests_total", "500"] == 0
    assert now["model_feedback_rows_total", "", "", ""] == now["model_feedback_absolute_error_total",] == 0


@pytest.mark.parametrize(
    ("label", "pairs"),
    [
        (
            FieldSpec(name="x", kind="bool"),
            [("false", "false"), ("false", "true"), ("true", "false"), ("true", "true")],
        ),
        (FieldSpec(name="x", kind="category", categories=("a",)), [("a", "a")]),
        (FieldSpec(name="x", kind="int"), [("other", "other")]),
    ],
)
def test_feedback_of_classes_is_shown_before_anything_is_counted(
    profile: Profile, label: FieldSpec, pairs: list[tuple[str, str]]
) -> None:
    number = 110 + len(label.kind)
    VersionCounters(number, stand(profile, contract=Contract(row=CONTRACT.row, prediction=(label,))))
    feedback = {key[1:] for key in shown(number) if key[0] == "model_feedback_rows_total"}
    expected = {(actual, str(predicted == actual).lower(), predicted) for predicted, actual in pairs}
    assert feedback - {("other", "false", "other")} == expected


def test_every_row_is_counted_once_in_each_column(profile: Profile) -> None:
    counters = VersionCounters(102, stand(profile))
    columns, predictions = drawn(3)
    columns["amount"][:300] = np.nan
    predictions["price"][:7] = np.nan
    counters.add(columns, predictions)
    counters.add({"amount": np.array([1e9], np.float32), "colour": np.array(["red"], object)}, drawn(4, 1)[1])
    now = shown(102)
    totals: dict[tuple[str, str], float] = {}
    for (name, *labels), value in now.items():
        if name.endswith("_bin_rows_total"):
            totals[name, labels[1]] = totals.get((name, labels[1]), 0) + value
    feature, output = "model_feature_bin_rows_total", "model_output_bin_rows_total"
    columns_counted = [(feature, "amount"), (feature, "colour"), (output, "price"), (output, "cheap")]
    assert totals == dict.fromkeys(columns_counted, ROWS + 1)
    assert now[feature, "missing", "amount"] == 300
    assert now[feature, "red", "colour"] == (columns["colour"] == "red").sum() + 1
    assert now[output, "missing", "price"] == 7
    assert now[output, "true", "cheap"] == predictions["cheap"].sum() + drawn(4, 1)[1]["cheap"].sum()
    assert now["model_outlier_rows_total",] >= 1


def test_trained_version_carries_its_profile(version: Artifact, contract: Contract) -> None:
    assert list(version.profile.features) == [column.name for column in contract.row]
    assert list(version.profile.outputs) == [column.name for column in contract.prediction]
    assert version.profile.quality
    for bins in (*version.profile.features.values(), *version.profile.outputs.values()):
        assert len(bins.names) == len(set(bins.names)) == len(bins.shares)
        assert sum(bins.shares) == pytest.approx(1)
        assert min(bins.shares) > 0


def test_rows_of_the_training_are_no_shift_and_few_outliers(version: Artifact, contract: Contract) -> None:
    columns, _ = dataframes.check_features(data.load(), contract)
    profile = version.profile
    assert max(profile.drift(columns).values()) < 0.1
    positions = {name: bins.assign(columns[name]) for name, bins in profile.features.items()}
    assert profile.outliers.is_outlier(profile.features, columns, positions).mean() < 0.05


def test_predictions_of_a_version_are_counted(version: Artifact, rows: list[dict[str, Any]]) -> None:
    counters = VersionCounters(103, version)
    _, columns = RowParser(version.contract).parse(json.dumps(rows).encode())
    counters.add(columns, version.runtime.score(columns))
    now = shown(103)
    for kind, names in (("feature", version.profile.features), ("output", version.profile.outputs)):
        for name in names:
            counts = [now[f"model_{kind}_bin_rows_total", bin_, name] for bin_ in names[name].names]
            assert sum(counts) == len(rows), name
