"""An isolation forest: the fewer random cuts set a reading apart from the others, the more unusual it is."""

from sklearn.ensemble import IsolationForest


def build() -> IsolationForest:
    """Return the model, not yet fitted."""
    return IsolationForest(n_estimators=60, contamination=0.03, random_state=0)
