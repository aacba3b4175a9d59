"""Boosted trees over the calendar, the lags, and what features.py makes of them."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

#: The year and the number of the day only grow, and trees cannot go on with a trend; month and day are in day_of_year.
UNUSED = ["day_year", "day_days", "day_month", "day_day"]


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["shop"]),
        ("drop", UNUSED),
        remainder="passthrough",
    )
    trees = HistGradientBoostingRegressor(learning_rate=0.06, max_iter=150, random_state=0)
    return make_pipeline(columns, trees)
