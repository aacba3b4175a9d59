"""The model, not yet fitted.

To make it yours, let `build` return any scikit-learn estimator or pipeline. It is fitted on a DataFrame with the
columns of `Row`: numbers and booleans as float32, NaN where missing; categories, keys and texts as str, "" where
missing; a vector `v` of length n as the columns `v_0` to `v_<n-1>`; a date `d` as numbers in the columns `d_year`,
`d_month`, `d_day`, `d_weekday`, `d_days` (docs/rows.md). If `features.py` has a function, it is fitted on the columns
that this returns.

An object of your own works too: give it `predict(frame)`, which returns one label per row, or a dict or DataFrame with
every field of `Prediction`; and `fit(frame, label)` if it learns, or `fit(frame)` where the data has no label. Several
labels are an array (n, labels). Fix its seed: the same data must give the same model.

`make tune` tries parameters of `build` that `search_space` names, if there is one, and keeps the best ones in
`parameters.json`, which `make train` then uses.

Add LightGBM or another library as docs/libraries.md says; the page also tells what ONNX serves, and what helps if not.
"""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

CATEGORIES = ["sex", "passenger_class", "port"]


def search_space(trial):
    """Return the parameters of `build` to try; `trial` is Optuna's (docs/tuning.md)."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 30, 300, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 31),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 100, log=True),
    }


def build(learning_rate=0.05, max_iter=150, max_leaf_nodes=8, l2_regularization=0.0) -> Pipeline:
    """Return the pipeline, not yet fitted."""
    # The trees handle missing numbers and need no scaling.
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        l2_regularization=l2_regularization,
        random_state=0,
    )
    return make_pipeline(columns, trees)
