"""The parameters of `build()` that a search has found, as `model/parameters.json` keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ...common.errors import UserError
from ...common.numbers import short
from ...common.scratch import scratch_file


class Parameters(BaseModel):
    """What `build()` is called with, and where it comes from; written by hand, the parameters are enough."""

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any]
    #: The metric that the search was about, and its mean over the folds.
    metric: str = ""
    value: float | None = None
    folds: str = ""
    #: The number of parameter combinations that were tried, when the last one was (UTC, ISO 8601), and in which run.
    trials: int = 0
    found: str = ""
    run: str = ""

    @property
    def text(self) -> str:
        """The parameters on one line."""
        return text(self.parameters)

    @property
    def note(self) -> str:
        """Where the parameters come from, as a phrase."""
        if self.value is None:
            return "set in model/parameters.json"
        return f"the best of {self.trials} trials by make tune, {self.metric} {self.value:.4g} in {self.folds}"


def text(parameters: Mapping[str, Any]) -> str:
    """Return parameters on one line, with numbers of four digits."""
    return ", ".join(f"{name}={short(value)}" for name, value in parameters.items())


def read(path: Path) -> Parameters | None:
    """Return the parameters that a file keeps, None if there is no file; `UserError` if it cannot be read."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Parameters.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path.parent.name}/{path.name} cannot be read: {where + ': ' if where else ''}{first['msg']}. It has the "
            'form {"parameters": {"name": value}}. Correct it, take it back with git, or delete it: build() then has '
            "its own values."
        ) from None


def write(path: Path, found: Parameters) -> None:
    """Write the file that keeps parameters."""
    with scratch_file(path) as part:
        part.write_text(json.dumps(found.model_dump(), indent=2) + "\n", encoding="utf-8")
        part.replace(path)


def plain(returned: Any) -> dict[str, Any]:
    """Return what `search_space()` returned as values of JSON; `UserError` if it is no dict of plain values."""
    where = "model/pipeline.py: search_space(trial) returned"
    if not isinstance(returned, Mapping) or not returned:
        raise UserError(f"{where} {returned!r:.200}; it must be a dict of parameters of build() by name")
    values = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in returned.items()}
    for name, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise UserError(
                f"{where} for {name} an object of {type(value).__name__}, which a file cannot keep: return a number, a "
                "text, True, False, None, or a list of these, and make the object in build()"
            ) from None
    return values
