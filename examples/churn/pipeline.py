"""LightGBM's boosted trees, which take missing numbers as they are."""

from lightgbm import LGBMClassifier


def build() -> LGBMClassifier:
    """Return the model, not yet fitted."""
    return LGBMClassifier(n_estimators=60, num_leaves=8, n_jobs=1, random_state=0, verbose=-1)
