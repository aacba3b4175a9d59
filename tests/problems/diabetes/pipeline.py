"""A ridge regression."""

from sklearn.linear_model import Ridge


def build() -> Ridge:
    """Return the model, not yet fitted."""
    return Ridge(alpha=0.1)
