"""Conversion to ONNX: by skl2onnx, with the converters of the libraries in `LIBRARIES`, or by the model's own graph."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ...common.errors import UserError
from ...contract.schema import Contract
from ...version.runtime import MATRIX_INPUT
from . import own_graph

#: The newest operator sets that all converters know: those of LightGBM, XGBoost and IsolationForest know no newer ones.
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

#: What ONNX Runtime's tokenizer understands in place of the patterns that Python's `re` alone does.
WORD = r"[\p{L}\p{N}_]"
TOKEN_PATTERNS = {
    r"(?u)\b\w\w+\b": f"{WORD}{WORD}+",
    r"(?u)\b\w+\b": f"{WORD}+",
    r"\b\w\w+\b": f"{WORD}{WORD}+",
    r"\b\w+\b": f"{WORD}+",
    r"\w\w+": f"{WORD}{WORD}+",
    r"\w+": f"{WORD}+",
}


class Inputs(NamedTuple):
    """The columns that a model takes, in their order, and those of them that are texts."""

    names: list[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, contract: Contract) -> Inputs:
        """Return the inputs of models of a contract."""
        return cls(contract.model_columns, frozenset(field.name for field in contract.row if field.is_text))


def convert(estimator: Any, inputs: Inputs, classes: list[Any] | None, arguments: Mapping[str, Any]) -> Any:
    """Return the ONNX model (`onnx.ModelProto`) of a fitted estimator or transformer.

    `classes` are the sorted ones of a classification, None for other models. `arguments` are those of `onnx_options()`.
    """
    estimator = unwrapped(estimator)
    steps = steps_of(estimator)
    if own := own_graph.of(unwrapped(steps[-1][1])):
        own_graph.complete_outputs(own, classes)
        if len(steps) > 1:
            versions = TARGET_OPSET | own_graph.opset(own)
            head = _by_skl2onnx(estimator[:-1], inputs, None, {**arguments, "target_opset": versions})
            model = own_graph.joined(head, own)
        else:
            model = own_graph.with_inputs(own, inputs.names)
    else:
        model = _by_skl2onnx(estimator, inputs, classes, arguments)
    for output in model.graph.output:
        # Some converters declare a shape that the output has not; ONNX Runtime would say so in every call.
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    return model


def unwrapped(estimator: Any) -> Any:
    """Return the estimator that predicts: the one that a search has found, otherwise the given one."""
    return getattr(estimator, "best_estimator_", estimator)


def steps_of(estimator: Any) -> list[tuple[str, Any]]:
    """Return the steps of a pipeline by name; any other estimator is a step of its own."""
    from sklearn.pipeline import Pipeline

    return list(estimator.steps) if isinstance(estimator, Pipeline) else [("", estimator)]


def parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and all fitted ones inside of it."""
    from sklearn.base import BaseEstimator

    waiting, seen = [estimator], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, BaseEstimator) or part is estimator:
            yield part
            waiting += getattr(part, "__dict__", {}).values()


def check_arguments(arguments: Any) -> dict[str, Any]:
    """Return what onnx_options() returned; `UserError` unless they are arguments of skl2onnx's function."""
    from skl2onnx import convert_sklearn

    known = [name for name in inspect.signature(convert_sklearn).parameters if name not in ("model", "initial_types")]
    if not isinstance(arguments, dict) or not set(arguments) <= set(known):
        raise UserError(
            f"model/pipeline.py: onnx_options() returned {arguments!r:.200}; it must be a dict of arguments of "
            f"skl2onnx.convert_sklearn: {', '.join(known)}"
        )
    return arguments


def _by_skl2onnx(estimator: Any, inputs: Inputs, classes: list[Any] | None, arguments: Mapping[str, Any]) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import BaseEstimator

    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"{type(estimator).__name__} is not a scikit-learn estimator and has no method to_onnx()")
    register_libraries(estimator)
    options = {} if classes is None else {id(estimator): {"zipmap": False}}
    arguments = {"target_opset": TARGET_OPSET, **arguments}
    arguments["options"] = {**options, **_text_options(estimator), **(arguments.get("options") or {})}
    separate = [(n, (StringTensorType if n in inputs.texts else FloatTensorType)([None, 1])) for n in inputs.names]
    matrix = [(MATRIX_INPUT, FloatTensorType([None, len(inputs.names)]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # One matrix if all columns are numbers: a separate input for each column costs time in every request.
        for types in (separate,) if inputs.texts else (matrix, separate):
            try:
                return convert_sklearn(estimator, initial_types=types, **arguments)
            except Exception as error:
                failure = error
    raise failure


def _text_options(estimator: Any) -> dict[int, dict[str, Any]]:
    """Return the options of the vectorizers of text."""
    from sklearn.feature_extraction.text import CountVectorizer

    options = {}
    for part in parts(estimator):
        if isinstance(part, CountVectorizer):
            # "C" is the only locale that every machine has; it knows the letters of ASCII. Debian has the other too.
            ascii_only = all(token.isascii() for token in getattr(part, "vocabulary_", ()))
            options[id(part)] = {"locale": "C" if ascii_only else "C.UTF-8"}
            if part.analyzer == "word" and part.token_pattern in TOKEN_PATTERNS:
                options[id(part)]["tokenexp"] = TOKEN_PATTERNS[part.token_pattern]
    return options


def register_libraries(estimator: Any) -> None:
    """Register the converters of the libraries that an estimator and its parts are of."""
    modules = {type(part).__module__.partition(".")[0] for part in parts(estimator)}
    for library in sorted(modules & LIBRARIES.keys()):
        LIBRARIES[library]()


def _register_lightgbm() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    _register(LGBMClassifier, LGBMRegressor, convert_lightgbm)


def _register_xgboost() -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor

    def convert_nameless(scope: Any, operator: Any, container: Any) -> None:
        # The converter knows numbered features only; those of a model fitted on a DataFrame have its columns' names.
        original = operator.raw_operator
        operator.raw_operator = copy.deepcopy(original)
        operator.raw_operator.get_booster().feature_names = None
        try:
            convert_xgboost(scope, operator, container)
        finally:
            operator.raw_operator = original

    _register(XGBClassifier, XGBRegressor, convert_nameless)
    _register(XGBRFClassifier, XGBRFRegressor, convert_nameless)


def _register(classifier: type, regressor: type, function: Callable[[Any, Any, Any], None]) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    options = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    shapes = shape_calculator.calculate_linear_classifier_output_shapes
    update_registered_converter(classifier, f"Own{classifier.__name__}", shapes, function, options=options)
    shapes = shape_calculator.calculate_linear_regressor_output_shapes
    update_registered_converter(regressor, f"Own{regressor.__name__}", shapes, function, options={"split": None})


#: What registers the converters of a library with skl2onnx. CatBoost makes a graph itself, see `own_graph`.
LIBRARIES: dict[str, Callable[[], None]] = {"lightgbm": _register_lightgbm, "xgboost": _register_xgboost}
