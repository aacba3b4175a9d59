"""Libraries of models beside scikit-learn: fitted for real, exported, and served by the runtime that a version gets.

These tests run in a generated project whose environment has the libraries; `tests/project/test_other_libraries.py`
makes it.
"""

import pickle
from collections.abc import Callable
from typing import Any, Literal

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.training.fitting import FittedModel
from titanic_survival.toolkit.version.runtime import PythonRuntime
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

ROWS, HOLDOUT = 800, 200
RANDOM = np.random.default_rng(0)
COLUMNS: Columns = {
    "a": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(size=ROWS)).astype(np.float32),
    "b": RANDOM.normal(size=ROWS).astype(np.float32),
    "word": RANDOM.choice(["x", "y", "z", ""], ROWS).astype(object),
}
SCORE = np.nan_to_num(COLUMNS["a"]) + COLUMNS["b"] * (COLUMNS["word"] == "x")
THIRD = np.digitize(SCORE, [-0.3, 0.3])


class Numbers(BaseModel):
    """Numbers alone."""

    a: float | None = None
    b: float


class Mixed(Numbers):
    """A category too."""

    word: Literal["x", "y", "z"] | None = None


class Amount(BaseModel):
    """A regression."""

    amount: float


class Truth(BaseModel):
    """A bool."""

    label: bool
    probability: float


class Third(BaseModel):
    """An int of three."""

    label: int
    probabilities: list[float] = Field(min_length=3, max_length=3)


class Name(BaseModel):
    """A text of three, in an order that is not that of the alphabet."""

    label: Literal["low", "middle", "high"]
    probabilities: list[float] = Field(min_length=3, max_length=3)


NAMES = np.array(["low", "middle", "high"], object)[THIRD]
LABELS = {Amount: SCORE.astype(np.float64), Truth: SCORE > 0, Third: THIRD, Name: NAMES}

LIGHTGBM = {"n_estimators": 15, "num_leaves": 8, "verbose": -1, "n_jobs": 1, "random_state": 0}
XGBOOST = {"n_estimators": 15, "max_depth": 3, "n_jobs": 1, "random_state": 0}
CATBOOST = {"iterations": 15, "verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_state": 0}
#: For each class the predictions that it can learn: XGBoost learns no texts.
MODELS: list[Any] = [
    *[pytest.param(LGBMClassifier, LIGHTGBM, kind, id=f"lightgbm-{kind.__name__}") for kind in (Truth, Third, Name)],
    pytest.param(LGBMRegressor, LIGHTGBM, Amount, id="lightgbm-Amount"),
    *[pytest.param(XGBClassifier, XGBOOST, kind, id=f"xgboost-{kind.__name__}") for kind in (Truth, Third)],
    pytest.param(XGBRegressor, XGBOOST, Amount, id="xgboost-Amount"),
    pytest.param(XGBRFClassifier, XGBOOST, Truth, id="xgboost-forest"),
    *[
        pytest.param(CatBoostClassifier, CATBOOST, kind, id=f"catboost-{kind.__name__}")
        for kind in (Truth, Third, Name)
    ],
    pytest.param(CatBoostRegressor, CATBOOST, Amount, id="catboost-Amount"),
]


def served(model: Any, row: type[BaseModel], prediction: type[BaseModel]) -> FittedModel:
    """Fit a model on most of the rows and export it; what serves predicts the same of the others as the model."""
    contract = derive(row, prediction).with_classes(LABELS[prediction])
    columns = {field.name: COLUMNS[field.name] for field in contract.row}
    training = {name: array[HOLDOUT:] for name, array in columns.items()}
    holdout = {name: array[:HOLDOUT] for name, array in columns.items()}
    label = dataframes.training_label(LABELS[prediction][HOLDOUT:])
    model.fit(dataframes.as_frame(training, contract), label)
    fitted = FittedModel(model, onnx_export.export(model, contract, holdout), contract)
    # As a service would load it.
    original = PythonRuntime(pickle.loads(cloudpickle.dumps(model)), contract).score(holdout)
    for name, array in fitted.runtime.score(holdout).items():
        if array.dtype == np.float32:
            np.testing.assert_allclose(array, original[name], rtol=1e-5, atol=1e-5)
        else:
            assert array.tolist() == original[name].tolist()
            assert len(set(array.tolist())) > 1
    return fitted


def encoder() -> Any:
    """Return a transformer of the category."""
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["word"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )


@pytest.mark.parametrize(("kind", "settings", "prediction"), MODELS)
def test_model_alone_is_served_by_onnx(kind: Any, settings: dict[str, Any], prediction: type[BaseModel]) -> None:
    fitted = served(kind(**settings), Numbers, prediction)
    assert fitted.runtime.name == "onnx", fitted.onnx


@pytest.mark.parametrize(("kind", "settings", "prediction"), MODELS)
def test_pipeline_is_served_by_onnx(kind: Any, settings: dict[str, Any], prediction: type[BaseModel]) -> None:
    fitted = served(make_pipeline(encoder(), kind(**settings)), Mixed, prediction)
    assert fitted.runtime.name == "onnx", fitted.onnx


@pytest.mark.parametrize(
    ("kind", "settings"), [(LGBMClassifier, LIGHTGBM), (XGBClassifier, XGBOOST), (CatBoostClassifier, CATBOOST)]
)
@pytest.mark.parametrize(
    "around",
    [
        lambda model: make_pipeline(encoder().set_output(transform="pandas"), model),
        lambda model: GridSearchCV(
            make_pipeline(encoder(), model), {f"{type(model).__name__.lower()}__max_depth": [2]}, cv=2
        ),
    ],
    ids=["frames", "search"],
)
def test_frames_between_steps_and_searches_change_nothing(
    kind: Any, settings: dict[str, Any], around: Callable[[Any], Any]
) -> None:
    fitted = served(around(kind(**settings)), Mixed, Truth)
    assert fitted.runtime.name == "onnx", fitted.onnx


def test_categories_of_catboost_itself_are_served_by_python_with_a_cure() -> None:
    model = CatBoostClassifier(**CATBOOST, cat_features=["word"])
    fitted = served(model, Mixed, Truth)
    assert fitted.runtime.name == "python"
    assert "OneHotEncoder or OrdinalEncoder" in fitted.onnx.details[-1]


class LeastSquares:
    """A model of statsmodels, as an object with fit and predict."""

    def fit(self, frame: pd.DataFrame, label: np.ndarray) -> "LeastSquares":
        """Fit by ordinary least squares."""
        self.result = sm.OLS(label, self._design(frame)).fit()
        return self

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the mean and the bounds of its 90 % interval."""
        summary = self.result.get_prediction(self._design(frame)).summary_frame(alpha=0.1)
        return pd.DataFrame(
            {"amount": summary["mean"], "low": summary["obs_ci_lower"], "high": summary["obs_ci_upper"]}
        )

    @staticmethod
    def _design(frame: pd.DataFrame) -> pd.DataFrame:
        return sm.add_constant(frame[["a", "b"]].fillna(0).astype("float64"), has_constant="add")


class Interval(Amount):
    """A regression with bounds."""

    low: float
    high: float


LABELS[Interval] = LABELS[Amount]


def test_statsmodels_is_served_by_python() -> None:
    fitted = served(LeastSquares(), Numbers, Interval)
    assert fitted.runtime.name == "python"
    assert "LeastSquares" in fitted.onnx.note
    scored = fitted.runtime.score({name: COLUMNS[name][:5] for name in ("a", "b")})
    assert (scored["low"] < scored["amount"]).all()
    assert (scored["amount"] < scored["high"]).all()
    one = fitted.runtime.score({name: COLUMNS[name][:1] for name in ("a", "b")})
    assert one["amount"][0] == pytest.approx(scored["amount"][0])
