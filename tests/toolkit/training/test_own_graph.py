"""An estimator that brings its own graph is served by it, whole or as the last step of a pipeline, if it is right."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from pydantic import BaseModel, Field
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.columns import Columns
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import onnx_export
from titanic_survival.toolkit.training.export.onnx_export import OnnxExport
from titanic_survival.toolkit.version.runtime import OnnxRuntime, PythonRuntime

RANDOM = np.random.default_rng(0)
COLUMNS: Columns = {
    "a": RANDOM.normal(size=60).astype(np.float32),
    "b": RANDOM.normal(size=60).astype(np.float32),
    "word": RANDOM.choice(["x", "y"], 60).astype(object),
}
WEIGHTS = np.array([[2.0], [-3.0]])
FLOAT, DOUBLE, STRING, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING, TensorProto.INT64


class Numbers(BaseModel):
    """Numbers alone."""

    a: float
    b: float


class Mixed(Numbers):
    """A category too."""

    word: Literal["x", "y"]


class Amount(BaseModel):
    """A regression."""

    amount: float


class Truth(BaseModel):
    """A classification, by a bool."""

    label: bool
    probability: float


class Number(BaseModel):
    """A classification, by an int."""

    label: int = Field(ge=3, le=7)
    probability: float


class Name(BaseModel):
    """A classification, by a text."""

    label: Literal["yes", "no"]
    probability: float


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any], opset: int = 17) -> bytes:
    """Return a model of ONNX."""
    constants = []
    for name, value in weights.items():
        array = np.asarray(value)
        kind = {"f": FLOAT, "d": DOUBLE, "l": INT64}[array.dtype.char]
        constants.append(helper.make_tensor(name, kind, array.shape, array.ravel()))
    made = helper.make_graph(nodes, "own", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def value(name: str, kind: int, *shape: int | None) -> Any:
    """Return the declaration of an input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


class Linear(RegressorMixin, BaseEstimator):
    """As many weights as features, learned elsewhere; `make` returns its graph."""

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self.make = make

    def fit(self, features: Any, label: Any) -> "Linear":
        """Take over the weights."""
        self.weights_ = np.arange(1.0, 1.0 + np.asarray(features).shape[1])[:, None]
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Return the sum of features and weights."""
        return (np.asarray(features, np.float64) @ self.weights_)[:, 0]

    def to_onnx(self) -> Any:
        """Return the graph."""
        return self.make(self.weights_)


def product(weights: np.ndarray, kind: int = FLOAT, opset: int = 17) -> bytes:
    """Return a graph of one matrix, of a name and type of its own."""
    cast = weights.astype(np.float32 if kind == FLOAT else np.float64)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return graph([node], [value("x", kind, None, len(weights))], [value("y", kind, None, 1)], {"w": cast}, opset)


def export(model: Any, row: type[BaseModel], prediction: type[BaseModel], label: np.ndarray) -> OnnxExport:
    """Fit and export a model; what serves in its place predicts the same as the model."""
    contract = derive(row, prediction).with_classes(label)
    columns = {field.name: COLUMNS[field.name] for field in contract.row}
    model.fit(dataframes.as_frame(columns, contract), dataframes.training_label(label))
    exported = onnx_export.export(model, contract, columns)
    if exported.model:
        expected, actual = (
            runtime.score(columns)
            for runtime in (PythonRuntime(model, contract), OnnxRuntime(exported.model, contract))
        )
        for name, array in expected.items():
            if array.dtype == np.float32:
                np.testing.assert_allclose(actual[name], array, rtol=1e-5, atol=1e-5)
            else:
                assert actual[name].tolist() == array.tolist()
    return exported


AMOUNT = COLUMNS["a"].astype(np.float64)


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
def test_graph_of_one_matrix_serves_whatever_its_input_is_called(kind: int) -> None:
    exported = export(Linear(lambda weights: product(weights, kind)), Numbers, Amount, AMOUNT)
    assert exported.model, exported.note


def test_model_proto_serves_as_its_bytes_do() -> None:
    def parsed(weights: np.ndarray) -> ModelProto:
        model = ModelProto()
        model.ParseFromString(product(weights))
        return model

    assert export(Linear(parsed), Numbers, Amount, AMOUNT).model


def test_graph_takes_columns_by_their_names() -> None:
    def by_name(weights: np.ndarray) -> bytes:
        nodes = [
            helper.make_node("Concat", ["b", "a"], ["both"], axis=1),
            helper.make_node("MatMul", ["both", "w"], ["y"]),
        ]
        inputs = [value("b", FLOAT, None, 1), value("a", FLOAT, None, 1)]
        return graph(nodes, inputs, [value("y", FLOAT, None, 1)], {"w": weights[::-1].astype(np.float32)})

    assert export(Linear(by_name), Numbers, Amount, AMOUNT).model


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_graph_is_the_last_step_behind_transformers_that_are_converted(opset: int) -> None:
    columns = make_column_transformer((OneHotEncoder(sparse_output=False), ["word"]), (StandardScaler(), ["a", "b"]))
    last = Linear(lambda weights: product(weights, DOUBLE, opset))
    exported = export(make_pipeline(columns, last), Mixed, Amount, AMOUNT)
    assert exported.model, exported.note


class Logistic(ClassifierMixin, BaseEstimator):
    """A model of another library; its graph puts out probabilities alone, or what `convert` returns."""

    def __init__(self, convert: Callable[[Any], Any] | None = None) -> None:
        self.convert = convert

    def fit(self, features: Any, label: Any) -> "Logistic":
        """Fit the model."""
        self.inner_ = LogisticRegression().fit(np.asarray(features), label)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Return labels."""
        return self.inner_.predict(np.asarray(features))

    def predict_proba(self, features: Any) -> np.ndarray:
        """Return probabilities."""
        return self.inner_.predict_proba(np.asarray(features))

    def to_onnx(self) -> Any:
        """Return the graph."""
        if self.convert:
            return self.convert(self.inner_)
        coefficients, intercept = (array.astype(np.float32) for array in (self.inner_.coef_.T, self.inner_.intercept_))
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "intercept"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["second"]),
            helper.make_node("Sub", ["one", "second"], ["first"]),
            helper.make_node("Concat", ["first", "second"], ["p"], axis=1),
        ]
        weights = {"w": coefficients, "intercept": intercept, "one": np.float32([1])}
        return graph(nodes, [value("x", FLOAT, None, len(coefficients))], [value("p", FLOAT, None, 2)], weights)


SIDES = COLUMNS["a"] > COLUMNS["b"]
LABELS = {Truth: SIDES, Number: np.where(SIDES, 7, 3), Name: np.where(SIDES, "yes", "no").astype(object)}


@pytest.mark.parametrize("prediction", LABELS)
def test_probabilities_alone_get_the_label_of_the_most_likely_class(prediction: type[BaseModel]) -> None:
    exported = export(Logistic(), Numbers, prediction, LABELS[prediction])
    assert exported.model, exported.note
    encoder = make_column_transformer((OneHotEncoder(sparse_output=False), ["word"]), remainder="passthrough")
    exported = export(make_pipeline(encoder, Logistic()), Mixed, prediction, LABELS[prediction])
    assert exported.model, exported.note


@pytest.mark.parametrize("prediction", LABELS)
def test_label_and_dicts_of_probabilities_serve(prediction: type[BaseModel]) -> None:
    def dicts(model: Any) -> Any:
        # This is what converters do by default, and CatBoost's export.
        return convert_sklearn(model, initial_types=[("features", FloatTensorType([None, 2]))], target_opset=17)

    exported = export(Logistic(dicts), Numbers, prediction, LABELS[prediction])
    assert exported.model, exported.note


def test_graph_that_predicts_something_else_does_not_serve() -> None:
    exported = export(Linear(lambda weights: product(weights + 0.001)), Numbers, Amount, AMOUNT)
    assert exported.model is None
    assert "parity check failed" in exported.note


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda weights: "a path.onnx", "Linear.to_onnx() returned str, not an onnx.ModelProto or its bytes"),
        (
            lambda weights: graph(
                [helper.make_node("Add", ["a", "unknown"], ["y"])],
                [value("a", FLOAT, None, 1), value("unknown", FLOAT, None, 1)],
                [value("y", FLOAT, None, 1)],
                {},
            ),
            "to_onnx() has the inputs unknown, which are no columns: a, b",
        ),
    ],
)
def test_unusable_graph_is_named(make: Callable[[np.ndarray], Any], reason: str) -> None:
    exported = export(Linear(make), Numbers, Amount, AMOUNT)
    assert exported.model is None
    assert reason in exported.note
