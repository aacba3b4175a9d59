"""A forest of randomized trees; quality.py sets the probability from which on a payment is stopped."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

NUMBERS = ["amount", "online", "card_days", "last_hour", "paid_hour"]


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["trade", "country"]),
        (SimpleImputer(strategy="median"), NUMBERS),
    )
    return make_pipeline(columns, RandomForestClassifier(n_estimators=60, min_samples_leaf=3, random_state=0))
