"""A forest of randomized trees."""

from sklearn.ensemble import RandomForestClassifier


def build() -> RandomForestClassifier:
    """Return the model, not yet fitted."""
    return RandomForestClassifier(n_estimators=60, random_state=0)
