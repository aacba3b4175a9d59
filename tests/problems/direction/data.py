"""Generated days: momentum over three days, and noise."""

import numpy as np
import pandas as pd

DAYS = 14


def load() -> pd.DataFrame:
    """Return every labelled row, in time order."""
    random = np.random.default_rng(0)
    rises = list(random.random(DAYS) < 0.5)
    for _ in range(1500):
        rises.append(random.random() < 0.2 + 0.2 * sum(rises[-3:]))
    windows = np.lib.stride_tricks.sliding_window_view(np.array(rises), DAYS + 1)
    rows = pd.DataFrame({f"day_{i}": windows[:, DAYS - i] for i in range(1, DAYS + 1)})
    return rows.assign(direction=np.where(windows[:, DAYS], "up", "down"))


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: the past, and what came after."""
    cut = int(len(rows) * 0.8)
    return rows[:cut], rows[cut:]
