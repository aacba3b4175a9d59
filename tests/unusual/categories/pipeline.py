"""A logistic regression over one column for each category."""

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder


def build() -> Pipeline:
    """Return the model, not yet fitted."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((encoder, ["product"])), LogisticRegression(C=10, max_iter=1000))
