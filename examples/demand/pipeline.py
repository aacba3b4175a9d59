"""Boosted trees over the calendar and the lags."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

#: Parts of the date by which days of the past and of the future differ: trees cannot go on with a trend.
UNUSED = ["day_year", "day_days"]


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["shop"]),
        ("drop", UNUSED),
        remainder="passthrough",
    )
    trees = HistGradientBoostingRegressor(learning_rate=0.06, max_iter=150, random_state=0)
    return make_pipeline(columns, trees)
