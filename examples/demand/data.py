"""Daily sales of three invented shops in two years; data/generate.py makes them. The lags are columns made here."""

from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parents[2] / "data" / "demand.csv"
HELD_OUT_WEEKS = 12


def load() -> pd.DataFrame:
    """Return every day that has four weeks before it."""
    return with_lags(pd.read_csv(SOURCE)).dropna(subset="mean_28")


def with_lags(days: pd.DataFrame) -> pd.DataFrame:
    """Return days with what their shop sold before them; each shop has a row for every day, in order."""
    sold = days.groupby("shop")["sold"]
    lags = {f"sold_{number}": sold.shift(number) for number in (1, 7, 14)}
    mean = sold.transform(lambda shop: shop.shift(1).rolling(28).mean())
    return days.assign(**lags, mean_28=mean)


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and hold-out rows: the past, and the twelve weeks after it."""
    day = pd.to_datetime(rows["day"])
    is_past = day <= day.max() - pd.Timedelta(weeks=HELD_OUT_WEEKS)
    return rows[is_past], rows[~is_past]
