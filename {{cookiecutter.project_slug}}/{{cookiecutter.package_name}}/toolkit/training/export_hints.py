"""What usually helps where ONNX does not predict the same as Python; docs/libraries.md has it in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SCALERS = {"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PowerTransformer", "QuantileTransformer"}
#: In the names of classes whose models compare values with thresholds, or sum up numbers of the size of the columns.
TREES, SUMS = (
    ("Tree", "Forest", "Boost", "LGBM", "XGB"),
    ("SV", "Linear", "Logistic", "Ridge", "MLP", "Gaussian", "SGD"),
)
#: Differences up to here come from rounding alone.
SMALL = 1e-3
PAGE = "docs/libraries.md"


def hint(part: Any, before: Iterable[Any], error: Exception | None, *, missing: bool, largest: float) -> str:
    """Return advice on the part of a pipeline where a failure begins, with all that was `before` it.

    `missing` says whether rows that differ have missing values; `largest` is the difference of the predictions.
    """
    name = type(part).__name__
    if isinstance(error, ModuleNotFoundError):
        return f"adding {error.name} to MODEL in setup.py, then make lock and make setup"
    if "Custom tokenizer" in str(error) or "Custom preprocessor" in str(error):
        return "token_pattern instead of functions of Python, which have no converter"
    if name in ("TfidfVectorizer", "CountVectorizer"):
        return _of_vectorizer(part)
    if name == "HashingVectorizer":
        return "TfidfVectorizer(max_features=...) instead; HashingVectorizer has no converter"
    if name == "FunctionTransformer":
        return "computing these columns in model/features.py; a function of Python has no converter"
    if error is None and missing and type(part).__module__.startswith(("sklearn.tree", "sklearn.ensemble._forest")):
        return "SimpleImputer before this step, or HistGradientBoosting: its converter has no branch for missing values"
    trees, sums = (any(word in name for word in words) for words in (TREES, SUMS))
    scalers = sorted({type(other).__name__ for other in before} & SCALERS)
    if error is None and scalers and trees:
        return f"leaving out {' and '.join(scalers)}: trees need no scaling, and rounding moves values over a threshold"
    if error is None and trees and largest < SMALL:
        return "a larger unit of the label, such as thousands: sums of large numbers lose their last digits in float32"
    if error is None and sums and not scalers:
        return "StandardScaler before this step: sums of large numbers lose their last digits in float32"
    if error is not None and "ategorical" in str(error):
        return "OneHotEncoder or OrdinalEncoder in the pipeline: categorical features of the library are not exported"
    if error is not None:
        return f"another estimator, a converter in onnx_options() of model/pipeline.py, or to_onnx(): see {PAGE}"
    return f"what {PAGE} lists"


def _of_vectorizer(vectorizer: Any) -> str:
    if getattr(vectorizer, "sublinear_tf", False):
        return "sublinear_tf=False; its converter computes another logarithm"
    if vectorizer.strip_accents:
        return "strip_accents=None, with accents removed in the data"
    if vectorizer.analyzer != "word":
        return "analyzer='word'; characters are not exported reliably"
    return "token_pattern=r'[a-zA-Z0-9_]+'; beyond ASCII, texts in lower case with lowercase=False"
