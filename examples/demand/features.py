"""What follows from the fields of one row alone: where in the year the day is, and how sales have changed."""

import pandas as pd


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `Row`, with two more."""
    return frame.assign(
        day_of_year=(frame["day_month"] - 1) * 30.5 + frame["day_day"],
        change=frame["sold_7"] - frame["sold_14"],
    )
