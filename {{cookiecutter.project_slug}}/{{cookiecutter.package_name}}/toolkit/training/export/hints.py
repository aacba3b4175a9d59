"""What usually helps where ONNX does not predict the same as Python; docs/libraries.md has it in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

SCALERS = {"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PowerTransformer", "QuantileTransformer"}
#: In the names of classes whose models compare values with thresholds, or sum up numbers of the size of the columns.
TREES, SUMS = (
    ("Tree", "Forest", "Boost", "LGBM", "XGB"),
    ("SV", "Linear", "Logistic", "Ridge", "MLP", "Gaussian", "SGD"),
)
#: Their converters have no branch for missing values, which they know.
FORESTS = ("sklearn.tree", "sklearn.ensemble._forest")
#: Differences up to here come from rounding alone.
SMALL = 1e-3
PAGE = "docs/libraries.md"


class Symptoms(NamedTuple):
    """What is known of a difference: whether rows with missing values differ, and rows without, and by how much."""

    missing: bool
    complete: bool
    largest: float


def hint(part: Any, before: Iterable[Any], found: Exception | Symptoms) -> str:
    """Return advice on the part of a pipeline where a failure begins, with all that was `before` it."""
    name = type(part).__name__
    if name in ("TfidfVectorizer", "CountVectorizer"):
        return _of_vectorizer(part)
    if name == "HashingVectorizer":
        return "TfidfVectorizer(max_features=...) instead; HashingVectorizer has no converter"
    if name == "FunctionTransformer":
        return "computing these columns in model/features.py; a function of Python has no converter"
    if isinstance(found, Exception):
        return _of_error(found)
    return _of_difference(part, {type(other).__name__ for other in before}, found) or f"what {PAGE} lists"


def _of_error(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"adding {error.name} to MODEL in setup.py, then make lock and make setup"
    if "Custom tokenizer" in str(error) or "Custom preprocessor" in str(error):
        return "token_pattern instead of functions of Python, which have no converter"
    if "ategorical" in str(error):
        return "OneHotEncoder or OrdinalEncoder in the pipeline: categorical features of the library are not exported"
    return f"another estimator, a converter in onnx_options() of model/pipeline.py, or to_onnx(): see {PAGE}"


def _of_difference(part: Any, before: set[str], found: Symptoms) -> str:
    """Return advice on a last step that predicts something else, "" if there is none."""
    trees, sums = (any(word in type(part).__name__ for word in words) for words in (TREES, SUMS))
    scalers = " and ".join(sorted(before & SCALERS))
    advice = []
    if found.missing and type(part).__module__.startswith(FORESTS) and "SimpleImputer" not in before:
        advice.append("SimpleImputer before this step: its converter sends missing values another way")
    if trees and scalers and found.complete:
        advice.append(f"leaving out {scalers}: trees need no scaling, and rounding moves values over a threshold")
    if not advice and trees and found.largest < SMALL:
        advice.append("a larger unit of the label, such as thousands: float32 loses the last digits of large sums")
    if sums and not scalers:
        advice.append("StandardScaler before this step: float32 loses the last digits of large sums")
    return "; ".join(advice)


def _of_vectorizer(vectorizer: Any) -> str:
    if getattr(vectorizer, "sublinear_tf", False):
        return "sublinear_tf=False; its converter computes another logarithm"
    if vectorizer.strip_accents:
        return "strip_accents=None, with accents removed in the data"
    if vectorizer.analyzer != "word":
        return "analyzer='word'; characters are not exported reliably"
    return "token_pattern=r'[a-zA-Z0-9_]+'; beyond ASCII, texts in lower case with lowercase=False"
