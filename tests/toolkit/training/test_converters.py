"""What is exported by which converter, and the place where owners set converters of their own."""

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import BaseModel, Field
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.contract import dataframes
from titanic_survival.toolkit.contract.derivation import derive
from titanic_survival.toolkit.training.export import converters, onnx_export
from titanic_survival.toolkit.training.export.converters import Inputs


class Numbers(BaseModel):
    """Numbers alone."""

    a: float
    b: float


class Amount(BaseModel):
    """A regression."""

    amount: float


RANDOM = np.random.default_rng(0)
COLUMNS = {name: RANDOM.normal(size=60).astype(np.float32) for name in ("a", "b")}
CONTRACT = derive(Numbers, Amount)
FRAME = dataframes.as_frame(COLUMNS, CONTRACT)
AMOUNT = (COLUMNS["a"] + COLUMNS["b"]).astype(np.float64)


class Doubled(TransformerMixin, BaseEstimator):
    """A transformer that no converter knows."""

    def fit(self, features: Any, label: Any = None) -> "Doubled":
        """Learn nothing."""
        self.fitted_ = True
        return self

    def transform(self, features: Any) -> np.ndarray:
        """Return twice the features."""
        return 2 * np.asarray(features)


def shapes(operator: Any) -> None:
    """Set the type of the output."""
    operator.outputs[0].type = operator.inputs[0].type


def convert_doubled(scope: Any, operator: Any, container: Any) -> None:
    """Write the transformer as an operator of ONNX."""
    inputs = [operator.inputs[0].full_name] * 2
    container.add_node(
        "Add", inputs, operator.outputs[0].full_name, op_version=14, name=scope.get_unique_operator_name("Add")
    )


def test_converter_of_ones_own_is_used() -> None:
    model = make_pipeline(StandardScaler(), Doubled(), Ridge()).fit(FRAME, AMOUNT)
    assert onnx_export.export(model, CONTRACT, COLUMNS).model is None
    arguments = {
        "custom_conversion_functions": {Doubled: convert_doubled},
        "custom_shape_calculators": {Doubled: shapes},
    }
    exported = onnx_export.export(model, CONTRACT, COLUMNS, converters.check_arguments(arguments))
    assert exported.model, exported.note


def test_opset_of_ones_own_is_used() -> None:
    model = Ridge().fit(FRAME, AMOUNT)
    versions = []
    for arguments in ({}, {"target_opset": 12}):
        exported = onnx_export.export(
            make_pipeline(StandardScaler(), model).fit(FRAME, AMOUNT), CONTRACT, COLUMNS, arguments
        )
        assert exported.model
        versions.append({e.domain: e.version for e in onnx.load_model_from_string(exported.model).opset_import}[""])
    assert versions[0] > versions[1] <= 12


@pytest.mark.parametrize("wrong", [None, ["target_opset"], {"opset": 12}, {"model": 1}, {"initial_types": []}])
def test_what_the_converter_does_not_take_is_named_before_fitting(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"onnx_options\(\) returned .* target_opset"):
        converters.check_arguments(wrong)


def test_isolation_forest_needs_no_opset() -> None:
    model = IsolationForest(n_estimators=5, random_state=0).fit(FRAME.to_numpy())
    assert converters.convert(model, Inputs(["a", "b"], frozenset()), None, {}).graph.node


def test_what_a_search_has_found_is_exported() -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 10]}, cv=2).fit(
        FRAME, AMOUNT
    )
    assert converters.unwrapped(search) is search.best_estimator_
    assert onnx_export.export(search, CONTRACT, COLUMNS).model


class LGBMRegressor(RegressorMixin, BaseEstimator):
    """Stands for the class of that name."""

    def fit(self, features: Any, label: Any) -> "LGBMRegressor":
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, features: Any) -> np.ndarray:
        """Return zeros."""
        return np.zeros(len(features))


LGBMRegressor.__module__ = "lightgbm.sklearn"


def test_missing_converter_is_one_sentence_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = types.ModuleType("lightgbm")
    library.LGBMClassifier = library.LGBMRegressor = LGBMRegressor
    monkeypatch.setitem(sys.modules, "lightgbm", library)
    monkeypatch.setitem(sys.modules, "onnxmltools", None)
    for name in [name for name in sys.modules if name.startswith("onnxmltools.")]:
        monkeypatch.delitem(sys.modules, name)
    model = make_pipeline(StandardScaler(), LGBMRegressor()).fit(FRAME, AMOUNT)
    exported = onnx_export.export(model, CONTRACT, COLUMNS)
    assert exported.model is None
    assert exported.details == ()
    assert "This needs onnxmltools, which is not installed: make setup installs it" in exported.note


class Text(BaseModel):
    """A text."""

    text: str = Field(max_length=200)
    a: float


class Sides(BaseModel):
    """Two classes."""

    label: bool
    probability: float


# Letters beyond ASCII, of which some have capitals.
WORDS = [
    "good",
    "bad",
    "fine",
    "awful",
    "great",
    "a",
    "the",
    "plot",
    "it's",
    "10",
    "x_y",
    "don't",
    "good-bad",
    "שלום",
    "日本",
]
TEXTS = np.array([" ".join(RANDOM.choice(WORDS, 5)) + RANDOM.choice([".", "!", " ..."]) for _ in range(200)], object)
TEXT_COLUMNS = {"text": TEXTS, "a": RANDOM.normal(size=200).astype(np.float32)}


def export_text(vectorizer: Any, texts: np.ndarray = TEXTS) -> onnx_export.OnnxExport:
    """Export a classification of texts."""
    contract, columns = derive(Text, Sides).with_classes(np.array([False, True])), TEXT_COLUMNS | {"text": texts}
    label = np.array(["good" in text.lower() or "日本" in text or "ärger" in text.lower() for text in texts]).astype(
        int
    )
    model = make_pipeline(make_column_transformer((vectorizer, "text"), ("passthrough", ["a"])), LogisticRegression())
    return onnx_export.export(model.fit(dataframes.as_frame(columns, contract), label), contract, columns)


ASCII = r"[a-zA-Z0-9_]+"


@pytest.mark.parametrize(
    "make",
    [
        TfidfVectorizer,
        CountVectorizer,
        lambda: TfidfVectorizer(ngram_range=(1, 2), min_df=2),
        lambda: TfidfVectorizer(stop_words="english", max_features=8),
        lambda: TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", norm="l1"),
        lambda: CountVectorizer(token_pattern=ASCII, binary=True),
        lambda: TfidfVectorizer(token_pattern=ASCII, lowercase=False),
    ],
)
def test_vectorizer_of_text_is_exported(make: Callable[[], Any]) -> None:
    exported = export_text(make())
    assert exported.model, (exported.note, exported.details)
    # The locale of any other name is missing on some machine, and the model would not load there.
    nodes = [
        node for node in onnx.load_model_from_string(exported.model).graph.node if node.op_type == "StringNormalizer"
    ]
    assert {a.s for node in nodes for a in node.attribute if a.name == "locale"} <= {b"C", b"C.UTF-8"}


@pytest.mark.parametrize(
    ("vectorizer", "help_"),
    [
        (HashingVectorizer(n_features=16), "TfidfVectorizer"),
        (TfidfVectorizer(token_pattern=ASCII, sublinear_tf=True), "sublinear_tf=False"),
        (TfidfVectorizer(strip_accents="unicode"), "strip_accents=None"),
        (TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3)), "analyzer='word'"),
        (TfidfVectorizer(tokenizer=str.split, token_pattern=None), "token_pattern"),
    ],
)
def test_vectorizer_that_is_not_exported_says_what_helps(vectorizer: Any, help_: str) -> None:
    exported = export_text(vectorizer)
    assert exported.model is None
    assert "step 1 of 2, ColumnTransformer" in exported.details[-2]
    assert exported.details[-1].startswith("What usually helps: ")
    assert help_ in exported.details[-1]


def test_difference_inside_the_pipeline_names_the_column_and_its_values() -> None:
    exported = export_text(TfidfVectorizer(token_pattern=ASCII, sublinear_tf=True))
    assert "step 1 of 2, ColumnTransformer, in its column 'tfidfvectorizer__" in exported.details[-2]
    assert exported.details[-2].endswith(" by ONNX")


def test_capitals_beyond_ascii_are_lower_cased_as_in_scikit_learn() -> None:
    capitals = np.array([f"{text} {['ärger', 'Ärger', ''][i % 3]}" for i, text in enumerate(TEXTS)], object)
    assert export_text(TfidfVectorizer(), capitals).model
