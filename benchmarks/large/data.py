"""Generated loans, as many as BENCH_ROWS says; `split` is that of a fresh project, whose file is `sample.py` here."""

import os

import numpy as np
import pandas as pd

from .sample import split  # noqa: F401 (training calls it)

NUMBERS = ["amount", "debt", "rate", "balance", "spending", "volatility", "score_1", "score_2", "score_3", "score_4"]
CATEGORIES = {
    "purpose": ["car", "education", "home", "medical", "other"],
    "region": ["north", "east", "south", "west"],
    "channel": ["branch", "phone", "web"],
    "employment": ["employed", "retired", "self-employed", "unemployed"],
}
#: A tenth of their values is missing.
OPTIONAL = ["income", "savings", "months", "channel"]


def load() -> pd.DataFrame:
    """Return every labelled row."""
    count, random = int(os.environ["BENCH_ROWS"]), np.random.default_rng(0)
    rows = pd.DataFrame({name: random.random(count) for name in [*NUMBERS, "income", "savings"]})
    rows["age"], rows["accounts"], rows["owner"] = (random.integers(0, most, count) for most in (100, 20, 2))
    rows["owner"], rows["months"] = rows["owner"] == 1, random.integers(0, 400, count).astype(float)
    for name, values in CATEGORIES.items():
        rows[name] = pd.Categorical.from_codes(random.integers(0, len(values), count), values)
    for name in OPTIONAL:
        rows.loc[random.random(count) < 0.1, name] = None
    rows = rows.astype(dict.fromkeys(CATEGORIES, "str"))
    score = 2 * rows["balance"] + 4 * rows["score_1"] * rows["score_2"] + rows["age"] / 50
    return rows.assign(repaid=score + random.normal(size=count) > 3)
