"""A logistic regression."""

from sklearn.linear_model import LogisticRegression


def build() -> LogisticRegression:
    """Return the model, not yet fitted."""
    return LogisticRegression(C=0.1)
