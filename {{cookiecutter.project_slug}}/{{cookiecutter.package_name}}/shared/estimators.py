"""What training and tuning share: the estimator of `model/pipeline.py`, its parameters, and the columns it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import Parameter, signature
from typing import Any

from ..model import pipeline
from ..toolkit.common import console
from ..toolkit.common.errors import UserError, attribute_errors_to
from ..toolkit.training import checks, feature_checks
from ..toolkit.training.dataset import Dataset
from ..toolkit.training.tuning import parameters
from ..toolkit.training.tuning.parameters import Parameters
from . import training_data

#: What a search has found; it belongs to the model, so it is committed with it.
FILE = training_data.MODEL / "parameters.json"


def kept() -> Parameters | None:
    """Return the parameters of `model/parameters.json`, None if there is no such file."""
    return parameters.read(FILE)


def keep(found: Parameters) -> None:
    """Keep the parameters that a search has found."""
    parameters.write(FILE, found)


def build(given: Parameters | None) -> Any:
    """Return the estimator of `model/pipeline.py`, before the data are loaded: a mistake shows at once."""
    if given:
        check_names(given.parameters, "model/parameters.json has")
    with attribute_errors_to(training_data.MODEL, "pipeline.py"):
        estimator = pipeline.build(**(given.parameters if given else {}))
    checks.check_estimator(estimator)
    return estimator


def check_names(given: Mapping[str, Any], where: str) -> None:
    """Raise `UserError` if `build()` does not take a parameter; `where` begins the sentence."""
    known = signature(pipeline.build).parameters.values()
    if any(one.kind is Parameter.VAR_KEYWORD for one in known):
        return
    names = [one.name for one in known if one.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    for name in given:
        if name not in names:
            has = f"it takes {', '.join(names)}" if names else "it takes none"
            raise UserError(
                f"{where} the parameter {name!r}, which build() of model/pipeline.py does not take ({has}): add it "
                f"there with a default, as in def build({name}=...), or remove it."
            )


def defaults() -> dict[str, Any]:
    """Return the values that `build()` has itself, by parameter."""
    known = signature(pipeline.build).parameters.values()
    return {one.name: one.default for one in known if one.default is not Parameter.empty}


def with_features(rows: Dataset) -> Dataset:
    """Return the rows with the features of `model/features.py`, checked on the training rows, if it has any."""
    module = training_data.features_module()
    if module is None:
        return rows
    with console.step("features") as step:
        features = feature_checks.check(module.features, rows.contract, rows.training.columns)
        one, thousand = features.microseconds(rows.training.columns).values()
        step.detail = f"{len(features.kinds)} columns; {one / 1e3:.1f} ms for a row, {thousand / 1e3:.1f} ms for 1000"
    return replace(rows, features=features)
