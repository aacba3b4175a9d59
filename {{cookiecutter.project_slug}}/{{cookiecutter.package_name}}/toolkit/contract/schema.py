"""The contract: the fields of a row and of a prediction, and which values each of them allows.

A contract is stored with every model version as JSON, so that a version checks its rows by the schema that it was
trained with. Numbers are float32 from here on, in training, service and batch alike: all of them see the same values.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

FLOAT32_MAX = float(np.finfo(np.float32).max)
#: float32 holds every whole number up to here; a larger one would silently become another.
FLOAT32_MAX_EXACT_INT = 2**24

#: Texts that mean a missing value, unless the field has a category of that name: those of pandas, and so of MLflow, in
#: training data, files and protocols alike. `POST /predict` knows null alone, since its values have types.
MISSING_TEXTS = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"}
    | {"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
#: Texts that mean true and false, in lower case.
TRUE_TEXTS, FALSE_TEXTS = frozenset({"true", "1", "1.0"}), frozenset({"false", "0", "0.0"})


class Violation(NamedTuple):
    """One value that breaks the contract; `row` counts from 0 and is None where the violation is in no single row."""

    row: int | None
    field: str
    value: Any
    reason: str

    @property
    def value_text(self) -> str:
        """The value as Python writes it, "missing" for None."""
        return "missing" if self.value is None else repr(self.value)


class FieldSpec(BaseModel):
    """One field of a row or of a prediction."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["float", "int", "bool", "category", "vector"]
    nullable: bool = False
    required: bool = True
    default: bool | int | float | str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    categories: tuple[str, ...] = ()
    length: int | None = None
    description: str = ""

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds by name, those of the number format included."""
        largest = FLOAT32_MAX_EXACT_INT if self.kind == "int" else FLOAT32_MAX
        named = {"at_least": self.at_least, "above": self.above, "at_most": self.at_most, "below": self.below}
        bounds = {name: bound for name, bound in named.items() if bound is not None}
        if self.at_least is None and self.above is None:
            bounds["at_least"] = -largest
        if self.at_most is None and self.below is None:
            bounds["at_most"] = largest
        return bounds

    @property
    def expects(self) -> str:
        """The values that the field allows, as a phrase; it is the reason given for every violation."""
        if self.kind == "category":
            text = "one of " + ", ".join(repr(category) for category in self.categories)
        elif self.kind == "bool":
            text = "true or false"
        else:
            text = {"float": "a number", "int": "a whole number", "vector": f"a list of {self.length} numbers"}[
                self.kind
            ]
            limits = [
                f"{name.replace('_', ' ')} {bound:.15g}"
                for name, bound in self.bounds.items()
                if abs(bound) != FLOAT32_MAX
            ]
            text += f", {' and '.join(limits)}" if limits else ""
            if self.kind == "int" and FLOAT32_MAX_EXACT_INT in map(abs, self.bounds.values()):
                text += " (larger ones are not exact in float32)"
        return text + (", or missing" if self.nullable else "")


class Contract(BaseModel):
    """The fields of a row and of a prediction."""

    model_config = ConfigDict(frozen=True)

    row: tuple[FieldSpec, ...]
    prediction: tuple[FieldSpec, ...]
    #: The classes of a trained classification, in the order of the schema, which is that of `probabilities`. Empty
    #: before the training, and of versions before format 3: they keep the order that their model has.
    classes: tuple[bool | int | str, ...] = ()

    @property
    def label(self) -> FieldSpec:
        """What the model predicts: the first field of a prediction."""
        return self.prediction[0]

    @property
    def task(self) -> Literal["regression", "classification"]:
        """The kind of problem, which follows from the kind of the label."""
        return "regression" if self.label.kind == "float" else "classification"

    @cached_property
    def by_name(self) -> dict[str, FieldSpec]:
        """The fields of a row by name."""
        return {field.name: field for field in self.row}

    def with_classes(self, label: np.ndarray) -> Contract:
        """Return the contract with the classes of labels (n,): categories as in the schema, others ascending."""
        if self.task == "regression":
            return self
        found = np.unique(label).tolist()
        classes = [category for category in self.label.categories if category in found] or found
        return self.model_copy(update={"classes": tuple(classes)})

    def class_of(self, output: str) -> bool | int | str | None:
        """Return the class whose probability an output is, such as "probabilities[3]"; None if there is none."""
        name, _, position = output.rstrip("]").partition("[")
        if name == "probability" and len(self.classes) == 2:
            return self.classes[1]
        if name == "probabilities" and position.isdecimal() and int(position) < len(self.classes):
            return self.classes[int(position)]
        return None

    @property
    def model_columns(self) -> list[str]:
        """The names of the columns that the model sees: one for each field, one for each element of a vector."""
        return [name for field in self.row for name in model_columns(field)]


def model_columns(field: FieldSpec) -> list[str]:
    """Return the names of the columns in which the model sees a field: its own name, or one for each element."""
    return [f"{field.name}_{i}" for i in range(field.length)] if field.length is not None else [field.name]
