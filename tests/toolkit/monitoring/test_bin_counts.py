"""Bin counts: those of parts add up, and their drift is what Prometheus computes from the service's counters."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from pydantic import BaseModel
from titanic_survival import config
from titanic_survival.toolkit.contract.columns import Columns, take
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.monitoring import bin_counts
from titanic_survival.toolkit.monitoring.bin_counts import BinCounts
from titanic_survival.toolkit.version.reference_profile import Profile


class Row(BaseModel):
    """A number and a category."""

    amount: float | None
    colour: Literal["red", "green"]


class Prediction(BaseModel):
    """A number."""

    price: float


ROWS = 1000


def drawn(seed: int, mean: float = 0) -> tuple[Columns, Columns]:
    """Return rows and predictions."""
    random = np.random.default_rng(seed)
    amount = random.normal(mean, size=ROWS).astype(np.float32)
    amount[:30] = np.nan
    colour = random.choice(np.array(["red", "green"], object), ROWS)
    return {"amount": amount, "colour": colour}, {"price": amount * 2}


@pytest.fixture(scope="module")
def profile() -> Profile:
    (training, _), (holdout, predictions) = drawn(0), drawn(1)
    label = np.zeros(ROWS)
    contract = derive(Row, Prediction)
    return Profile.of(contract, training=training, holdout=holdout, predictions=predictions, label=label)


def test_each_row_is_counted_in_its_bins(profile: Profile) -> None:
    columns, predictions = drawn(2)
    counts = BinCounts.of(profile, columns, predictions)
    assert counts.rows == ROWS
    named = dict(zip(profile.features["colour"].names, counts.features["colour"], strict=True))
    assert named == {"red": (columns["colour"] == "red").sum(), "green": (columns["colour"] == "green").sum()}
    assert dict(zip(profile.features["amount"].names, counts.features["amount"], strict=True))["missing"] == 30
    assert sum(counts.outputs["price"]) == ROWS
    positions = profile.positions(columns)
    assert counts.outliers == profile.outliers.is_outlier(profile.features, columns, positions).sum() > 0


def test_counts_of_parts_add_up_to_those_of_the_whole(profile: Profile) -> None:
    columns, predictions = drawn(2)
    whole = BinCounts.of(profile, columns, predictions)
    where = [slice(0, 300), slice(300, 301), slice(301, None)]
    parts = [BinCounts.of(profile, take(columns, part), take(predictions, part)) for part in where]
    texts = [json.dumps(part.as_json()) for part in parts]
    read = [BinCounts.from_json(json.loads(text)) for text in texts]
    total = sum(read, start=BinCounts())
    assert total.as_json() == whole.as_json() != read[0].as_json()
    assert [json.dumps(part.as_json()) for part in read] == texts, "adding changes no part"


def test_few_rows_have_no_drift(profile: Profile) -> None:
    columns, predictions = drawn(2, mean=3)
    few = np.arange(bin_counts.MIN_DRIFT_ROWS - 1)
    counts = BinCounts.of(profile, take(columns, few), take(predictions, few))
    assert (counts.feature_drift(profile), counts.output_drift(profile)) == ({}, {})
    counts += BinCounts.of(profile, take(columns, few[:1]), take(predictions, few[:1]))
    assert counts.feature_drift(profile)["amount"] > 0.25
    assert counts.output_drift(profile)["price"] > 0.25


def test_drift_is_that_of_the_profile(profile: Profile) -> None:
    columns, predictions = drawn(2, mean=1)
    assert BinCounts.of(profile, columns, predictions).feature_drift(profile) == profile.drift(columns)


def test_drift_is_what_prometheus_computes_from_the_counters(profile: Profile, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        assert "REQUIRE_TOOLS" not in os.environ
        pytest.skip("promtool is not installed")
    content = BinCounts.of(profile, *drawn(2, mean=0.7)).as_json()
    # What a counter gains in an hour at so many rows a minute.
    hour = content | {
        key: {name: [60 * n for n in bins] for name, bins in content[key].items()} for key in ("features", "outputs")
    }
    total = BinCounts.from_json(hour)
    series: list[dict[str, str]] = [{"series": 'model_rows_total{job="j", version="1"}', "values": f"0+{ROWS}x90"}]
    samples: list[dict[str, Any]] = []
    for kind, all_bins, drift in (
        ("feature", profile.features, total.feature_drift(profile)),
        ("output", profile.outputs, total.output_drift(profile)),
    ):
        for name, bins in all_bins.items():
            labels = f'job="j", version="1", {kind}="{name}"'
            for bin_, share, rows in zip(bins.names, bins.shares, content[f"{kind}s"][name], strict=True):
                inside = f'{{{labels}, bin="{bin_}"}}'
                series.append({"series": f"model_{kind}_reference_share{inside}", "values": f"{share!r}x90"})
                series.append({"series": f"model_{kind}_bin_rows_total{inside}", "values": f"0+{rows}x90"})
            samples.append({"labels": f'{{{labels}, window="1h"}}', "value": round(1e9 * drift[name])})
    expression = 'round(1e9 * {__name__=~"feature:drift:psi|output:drift:psi", window="1h"})'
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": expression, "eval_time": "80m", "exp_samples": samples}],
    }
    rules = str(config.ROOT / "monitoring" / "rules.yml")
    path = tmp_path / "psi.test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [rules], "evaluation_interval": "1m", "tests": [test]}))
    assert len(samples) == 3
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_need_as_many_rows_for_drift() -> None:
    rules = (config.ROOT / "monitoring" / "rules.yml").read_text()
    assert rules.count(f"version:rows:increase >= {bin_counts.MIN_DRIFT_ROWS}") == 3
