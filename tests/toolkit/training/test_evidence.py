"""Evidence: the intervals of differences, and what gates make of them."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, create_model
from sklearn import metrics as sk
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training import bootstrap, evidence, gates, known_metrics, mcnemar
from titanic_survival.toolkit.training.comparison import Comparison, heading, notes
from titanic_survival.toolkit.training.dataset import LabelledRows
from titanic_survival.toolkit.training.evidence import Predicted
from titanic_survival.toolkit.training.measurement import Criteria, calculate, measure


class Row(BaseModel):
    """One number."""

    x: float


def contract_of(classes: tuple[Any, ...] = (), labels: int = 1, **fields: Any) -> Any:
    prediction = create_model("Prediction", __doc__="Outputs.", **{name: (kind, ...) for name, kind in fields.items()})
    return derive(Row, prediction).model_copy(update={"classes": classes, "label_count": labels})


BINARY = contract_of((False, True), label=bool, probability=float)


def binary(rows: int, seed: int = 0, noise: tuple[float, float] = (0.6, 0.9)) -> tuple[Any, Any, LabelledRows]:
    """Return the predictions of a version and of a champion with more noise, for rows with a label."""
    random = np.random.default_rng(seed)
    label = random.random(rows) < 0.4
    found = []
    for spread in noise:
        probability = (label * 0.5 + random.random(rows) * spread).clip(0.01, 0.99).astype(np.float32)
        found.append({"label": probability > 0.5, "probability": probability})
    table = pd.DataFrame({"x": np.arange(rows), "group": np.where(np.arange(rows) % 2, "odd", "even")})
    return found[0], found[1], LabelledRows(table, {}, label)


def of_binary(actual: Any, predictions: Any) -> dict[str, float]:
    return {
        "accuracy": sk.accuracy_score(actual, predictions["label"]),
        "ranking": sk.roc_auc_score(actual, predictions["probability"]),
        "loss": sk.log_loss(actual, predictions["probability"], labels=[False, True]),
    }


def own(actual: Any, predictions: Any) -> dict[str, float]:
    return {"own": float((np.abs(actual - predictions["probability"].to_numpy()) < 0.3).mean())}


def compare(
    found: tuple[Any, Any, LabelledRows],
    metrics: Callable[..., dict[str, Any]],
    wanted: dict[str, Any],
    contract: Any = BINARY,
    seconds: float = 60,
) -> dict[str, Comparison]:
    *both, rows = found
    criteria = Criteria(metrics, ("group",) if "group" in rows.table else (), gates.parse(wanted))
    versions = [Predicted(one, measure(rows, one, criteria, contract).metrics) for one in both]
    return evidence.compare(rows, *versions, criteria, contract, seconds)


def test_interval_of_mcnemar_is_the_published_one() -> None:
    # Airway hyper-responsiveness before and after transplantation (Bentur 2009): 1 and 7 of 21 rows are discordant.
    assert mcnemar.interval(1, 7, 21, 0.95) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("version", "champion", "rows"), [(10, 3, 100), (3, 10, 1000), (0, 4, 4), (5, 5, 50)])
def test_interval_excludes_0_where_mcnemar_rejects(version: int, champion: int, rows: int) -> None:
    low, high = mcnemar.interval(version, champion, rows, 0.95)
    assert -1 <= low <= (version - champion) / rows <= high <= 1
    assert (low > 0 or high < 0) == ((version - champion) ** 2 / (version + champion) > 3.8415)
    assert mcnemar.interval(champion, version, rows, 0.95) == pytest.approx((-high, -low))


def test_known_metrics_are_those_of_scikit_learn_on_a_resample() -> None:
    version, _, rows = binary(200)
    version["probability"] = version["probability"].round(1)  # ties
    where = bootstrap.resample(200)
    actual, predicted, probability = rows.label[where], version["label"][where], version["probability"][where]
    drawn = np.bincount(where, minlength=200)[None].astype(float)
    found = {name: metric(drawn)[0] for name, metric in known_metrics.of(rows.label, version, BINARY).items()}
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(actual, predicted),
            "precision": sk.precision_score(actual, predicted),
            "recall": sk.recall_score(actual, predicted),
            "f1": sk.f1_score(actual, predicted),
            "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
            "roc_auc": sk.roc_auc_score(actual, probability),
            "average_precision": sk.average_precision_score(actual, probability),
            "log_loss": sk.log_loss(actual, probability),
            "brier": sk.brier_score_loss(actual, probability),
        },
        rel=1e-5,
    )
    value, answer = np.random.default_rng(0).normal(5, 1, (2, 200))
    regression = known_metrics.of(value, {"y": answer}, contract_of(y=float))
    assert {name: metric(drawn)[0] for name, metric in regression.items()} == pytest.approx(
        {
            "mae": sk.mean_absolute_error(value[where], answer[where]),
            "mse": sk.mean_squared_error(value[where], answer[where]),
            "rmse": sk.root_mean_squared_error(value[where], answer[where]),
            "mape": sk.mean_absolute_percentage_error(value[where], answer[where]),
            "r2": sk.r2_score(value[where], answer[where]),
        }
    )


def test_probabilities_of_several_classes_have_a_known_loss() -> None:
    probabilities = Annotated[list[float], Field(min_length=3, max_length=3)]
    contract = contract_of(("a", "b", "c"), label=Literal["a", "b", "c"], probabilities=probabilities)
    random = np.random.default_rng(0)
    label, proba = random.choice(["a", "b", "c"], 50).astype(object), random.dirichlet(np.ones(3), 50)
    predictions = {"label": label, "probabilities": proba}
    found = known_metrics.of(label, predictions, contract)["log_loss"](np.ones((1, 50)))[0]
    assert found == pytest.approx(sk.log_loss(label, proba, labels=["a", "b", "c"]))


GATES = {"accuracy": {"at_least": 0}, "ranking": {"at_least": 0}, "loss": {"at_most": 9}}


def test_better_version_is_told_from_the_champion_by_every_metric() -> None:
    found = compare(binary(2000), of_binary, GATES | {"accuracy/group/odd": {"at_least": 0, "confidence": 0.5}})
    assert all(one.low is not None and one.low > 0 for one in found.values())
    assert [one.resamples for one in found.values()] == [0, 1000, 1000, 0]
    assert found["accuracy/group/odd"].rows == 1000
    assert heading(found.values()) == "better by (interval)"
    assert list(notes(found)) == []


def test_known_metric_has_the_interval_of_the_function_and_none_of_its_cost() -> None:
    calls = 0

    def counted(actual: Any, predictions: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        return {"brier": float(((predictions["probability"].to_numpy() - actual) ** 2).mean())}

    def disguised(actual: Any, predictions: Any) -> dict[str, float]:
        return {"brier": counted(actual, predictions)["brier"] + 1}

    gate = {"brier": {"at_most": 9}}
    fast = compare(binary(200), counted, gate)["brier"]
    assert calls < 20
    slow = compare(binary(200), disguised, gate)["brier"]
    assert calls > 2000
    # The standard error of a mean of paired differences.
    version, champion, rows = binary(200)
    losses = [(one["probability"] - rows.label) ** 2 for one in (champion, version)]
    half = 1.96 * np.std(losses[0] - losses[1]) / 200**0.5
    for one in (fast, slow):
        assert one.low is not None
        assert one.high is not None
        assert [one.better - one.low, one.high - one.better] == pytest.approx([half, half], rel=0.15)
    assert fast == compare(binary(200), counted, gate)["brier"]


def test_same_predictions_are_neither_better_nor_worse_by_anything() -> None:
    version, _, rows = binary(100)
    found = compare((version, dict(version), rows), of_binary, {"accuracy": {"at_least": 0, "not_worse": 0}})
    assert (found["accuracy"].interval, found["accuracy"].change) == ("0.000 to 0.000", "no difference")


def test_predictions_that_differ_by_rounding_are_the_same() -> None:
    version, _, rows = binary(100)
    steps = np.random.default_rng(0).choice([-1, 1], 100)
    champion = version | {"probability": np.nextafter(version["probability"], steps.astype(np.float32))}
    wanted = {
        "accuracy": {"at_least": 0, "not_worse": 0},
        "loss": {"at_most": 9, "tolerance": 0},
        "loss/group/odd": {"at_most": 9, "not_worse": 0},
    }
    criteria = Criteria(of_binary, ("group",), gates.parse(wanted))
    metrics = [measure(rows, one, criteria, BINARY).metrics for one in (version, champion)]
    for one, other in ((0, 1), (1, 0)):
        versions = [Predicted((version, champion)[i], metrics[i]) for i in (one, other)]
        found = evidence.compare(rows, *versions, criteria, BINARY)
        assert {comparison.change for comparison in found.values()} == {"no difference"}
        assert list(notes(found)) == []
        assert all(gate.passed for gate in gates.evaluate(criteria.gates, metrics[one], metrics[other], found))
    assert metrics[0]["loss"] != metrics[1]["loss"]


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_small_difference_is_one_whatever_the_unit(size: float) -> None:
    random = np.random.default_rng(0)
    label = random.normal(5, 1, 100) * size
    version = {"y": label.astype(np.float32)}
    rows = LabelledRows(pd.DataFrame(index=range(100)), {}, label)

    def errors(actual: Any, predictions: pd.DataFrame) -> dict[str, float]:
        return {"mae": float(np.abs(actual - predictions["y"]).mean())}

    for factor, same in ((1 + 1e-6, True), (1 + 1e-3, False)):
        champion = {"y": (label * factor).astype(np.float32)}
        found = compare((version, champion, rows), errors, {"mae": {"at_most": 1e9}}, contract_of(y=float))["mae"]
        assert (found.change == "no difference") == same


def test_slow_metric_is_bounded_and_said_so() -> None:
    def slow(actual: Any, predictions: Any) -> dict[str, float]:
        time.sleep(0.002)
        return own(actual, predictions)

    begun = time.monotonic()
    found = compare(binary(2000), slow, {"own": {"at_least": 0}, "own/group/odd": {"at_least": 0}}, seconds=1)
    assert time.monotonic() - begun < 3
    assert all(bootstrap.FEWEST <= one.resamples < 1000 for one in found.values())
    assert found["own"].low is not None
    bounded = [text for text in notes(found) if "a larger BOOTSTRAP_SECONDS allows 1000" in text]
    assert [text.partition(":")[0] for text in bounded] == ["own", "own/group/odd"]
    found = compare(binary(200), slow, {"own": {"at_least": 0, "not_worse": 1}}, seconds=0)
    (text,) = notes(found)
    assert text.startswith("own has no interval, since metrics() is slow: 1 resamples in BOOTSTRAP_SECONDS")


def test_many_rows_are_sampled_and_the_interval_is_as_narrow_as_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = {"loss": {"at_most": 9}, "ranking": {"at_least": 0}}
    whole = compare(binary(4000), of_binary, gate)
    monkeypatch.setattr(evidence, "MOST_ROWS", 1000)
    for name, one in compare(binary(4000), of_binary, gate).items():
        assert one.rows == 4000
        assert one.better == whole[name].better
        assert np.subtract(one.high, one.low) == pytest.approx(np.subtract(whole[name].high, whole[name].low), rel=0.2)


def raising(actual: Any, predictions: Any) -> dict[str, float]:
    if len(set(actual)) < 2:
        raise ValueError("one class")
    return {"own": float((actual * predictions["probability"]).sum())}


def test_metric_that_fails_on_resamples_has_no_interval_if_it_fails_on_many() -> None:
    version, champion, rows = binary(40)
    rows = rows._replace(table=rows.table[["x"]])
    rare = rows._replace(label=np.arange(40) == 7)
    gate = {"own": {"at_least": -9}}
    found = compare((version, champion, rare), raising, gate, seconds=0.5)
    (text,) = notes(found)
    assert "own has no interval, since it is not defined on " in text
    rare = rows._replace(label=np.arange(40) < 5)
    assert compare((version, champion, rare), raising, gate, seconds=0.5)["own"].low is not None


def test_few_rows_have_an_interval_of_accuracy_alone() -> None:
    found = compare(binary(12), of_binary, GATES)
    assert found["accuracy"].low is not None
    assert found["loss"].note == "12 rows are too few"


def test_several_labels_and_no_label_are_compared() -> None:
    random = np.random.default_rng(0)
    several = contract_of(labels=2, a=float, b=float)
    label, close, far = random.normal(size=(3, 100, 2)) * [[[1]], [[0.1]], [[0.9]]]
    both = [dict(zip("ab", (label + error).T, strict=True)) for error in (close, far)]

    def errors(actual: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
        return {"worst": (actual - predictions[["a", "b"]]).abs().max(axis=None)}

    rows = LabelledRows(pd.DataFrame(index=range(100)), {}, label)
    found = compare((*both, rows), errors, {"worst": {"at_most": 99}}, several, 0.5)["worst"]
    assert found.low is not None
    assert found.low > 0

    def shares(table: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
        return {"found": float((predictions["alarm"] & table["x"].ge(50)).mean())}

    none = contract_of(labels=0, alarm=bool)
    table = pd.DataFrame({"x": np.arange(100)})
    alarms = [{"alarm": table["x"].to_numpy() > limit} for limit in (60, 90)]
    rows = LabelledRows(table, {}, np.zeros((100, 0)))
    found = compare((*alarms, rows), shares, {"found": {"at_least": 0}}, none, 0.5)["found"]
    assert (found.better, found.rows) == (pytest.approx(0.3), 100)
    assert found.low is not None
    assert found.low > 0.15


def verdict(gate: dict[str, Any], **comparison: Any) -> str:
    given = Comparison(**{"better": 0.02, "low": -0.01, "high": 0.05, "rows": 100} | comparison)
    bounds = gates.parse({"m": {"at_least": 0} | gate})
    (result,) = gates.evaluate(bounds, {"m": 0.8}, {"m": 0.8 - given.better}, {"m": given})
    assert gates.is_comparison(result.reason) == (not result.passed)
    return result.reason


@pytest.mark.parametrize(
    ("gate", "comparison", "reason"),
    [
        ({"tolerance": 0}, {}, ""),
        ({"not_worse": 0.01}, {}, ""),
        ({"better": 0}, {"low": 0.001}, ""),
        ({"not_worse": 0}, {"better": 0, "low": 0, "high": 0}, ""),
        (
            {"better": 0},
            {},
            "m is 0.020 better than the champion (95 %: 0.010 worse to 0.050 better), "
            "but must be better with 95 % confidence: about 230 rows could show that, there are 100",
        ),
        (
            {"better": 0.03},
            {"low": 0.01, "high": 0.03},
            "m is 0.020 better than the champion (95 %: 0.010 to 0.030), "
            "but must be more than 0.03 better with 95 % confidence",
        ),
        (
            {"not_worse": 0.005},
            {"better": -0.02, "low": -0.05, "high": -0.01},
            "m is 0.020 worse than the champion (95 %: 0.010 to 0.050), "
            "but must be at most 0.005 worse with 95 % confidence",
        ),
        (
            {"better": 0},
            {"better": 0, "low": 0, "high": 0},
            "m is as good as the champion (no difference), but must be better with 95 % confidence",
        ),
        (
            {"not_worse": 0},
            {"low": None, "high": None, "note": "12 rows are too few"},
            "m is 0.020 better than the champion (no interval, since 12 rows are too few), "
            "but must be no worse with 95 % confidence",
        ),
    ],
)
def test_gate_decides_by_the_interval(gate: dict[str, Any], comparison: dict[str, Any], reason: str) -> None:
    assert verdict(gate, **comparison) == reason


def test_gate_that_needs_an_interval_passes_where_there_is_no_champion_and_fails_without_interval() -> None:
    bounds = gates.parse({"m": {"at_least": 0, "better": 0}})
    assert gates.evaluate(bounds, {"m": 1.0}, {})[0].passed
    assert "there is no interval" in gates.evaluate(bounds, {"m": 1.0}, {"m": 0.5})[0].reason


def test_note_says_what_may_be_chance_and_how_many_rows_could_tell() -> None:
    undecided = Comparison(better=-0.02, low=-0.05, high=0.01, rows=100)
    hopeless = Comparison(better=0.0001, low=-0.05, high=0.05, rows=100)
    certain = Comparison(better=0.3, low=0.2, high=0.4, rows=100)
    assert list(notes({"a": undecided, "b": hopeless, "c": certain})) == [
        "May be chance, since the interval contains 0: a (about 230 rows could tell, there are 100), b"
    ]
    assert (undecided.change, heading([undecided])) == ("-0.020 (-0.050 to 0.010)", "better by (95 %)")


def test_metrics_without_numbers_are_left_out_of_the_comparison() -> None:
    assert calculate(lambda *_: {"a": np.nan, "b": 1}, None, pd.DataFrame()) == {"b": 1.0}
    assert compare(binary(50), lambda *_: {"other": 1}, {"own": {"at_least": 0}}) == {}
