"""Generated travellers."""

import numpy as np
import pandas as pd


def load() -> pd.DataFrame:
    """Return every labelled row."""
    random = np.random.default_rng(0)
    fare = random.choice(["economy", "flexible"], 400)
    bags = random.integers(0, 6, 400)
    age = np.where(random.random(400) < 0.2, np.nan, random.uniform(1, 90, 400))
    return pd.DataFrame({"fare": fare, "bags": bags, "age": age, "seat": (fare == "flexible") | (bags < 2)})


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows."""
    return rows[:300], rows[300:]
