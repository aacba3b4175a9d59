"""Gradient boosting with scikit-learn's own settings."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES = ["purpose", "region", "channel", "employment"]


def build() -> Pipeline:
    """Return the pipeline, not yet fitted."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, CATEGORIES), remainder="passthrough", verbose_feature_names_out=False)
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0, early_stopping=False))
