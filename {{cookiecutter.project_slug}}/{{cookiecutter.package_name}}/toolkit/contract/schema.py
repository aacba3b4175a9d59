"""The contract: the fields of a row and of a prediction, and which values each of them allows.

A contract is stored with every model version as JSON, so that a version checks its rows by the schema that it was
trained with. Numbers are float32 from here on, in training, service and batch alike: all of them see the same values.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from . import times

FLOAT32_MAX = float(np.finfo(np.float32).max)
#: float32 holds every whole number up to here; a larger one would silently become another.
FLOAT32_MAX_EXACT_INT = 2**24

#: Texts that mean a missing value, unless the field has a category of that name: those of pandas, and so of MLflow, in
#: training data, files and protocols alike. `POST /predict` knows null alone, since its values have types.
MISSING_TEXTS = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"}
    | {"1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
#: Categories that a message names.
MAX_NAMED_CATEGORIES = 20
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


NumberKind = Literal["float", "int", "bool", "vector", "map"]
TextKind = Literal["category", "text", "key"]
TimeKind = Literal["date", "datetime", "time", "timedelta"]
TEXT_KINDS = frozenset(get_args(TextKind))


class FieldSpec(BaseModel):
    """One field of a row or of a prediction.

    A key is a text or a whole number that is a name, such as a zip code: its values are not listed.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: NumberKind | TextKind | TimeKind
    nullable: bool = False
    required: bool = True
    #: Of a date or time, as text in ISO 8601.
    default: bool | int | float | str | None = None
    #: Bounds of numbers; those of dates and times are in seconds, see `times.seconds`.
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    categories: tuple[str, ...] = ()
    #: The numbers of a vector, and of a matrix, which has its shape beside.
    length: int | None = None
    shape: tuple[int, int] | None = None
    #: The fewest and the most characters of a text or key.
    min_length: int = 1
    max_length: int | None = None
    #: Whether a key is a whole number.
    whole: bool = False
    #: Whether a number may be text in JSON, as clients write decimals.
    decimal: bool = False
    #: The keys of a map, which is an array (n, length) elsewhere: the names of the classes, known after the training.
    names: tuple[str, ...] = ()
    description: str = ""

    @property
    def is_text(self) -> bool:
        """Whether columns have the field as str, "" where missing; all others are float32, NaN where missing."""
        return self.kind in TEXT_KINDS

    @property
    def is_time(self) -> bool:
        """Whether columns have the field as the parts of a date or time."""
        return self.kind in times.PARTS

    @property
    def columns(self) -> list[str]:
        """The names of the columns that the model sees: its own, or one for each element or part."""
        if self.shape is not None:
            return [f"{self.name}_{i}_{j}" for i in range(self.shape[0]) for j in range(self.shape[1])]
        if self.length is not None:
            return [f"{self.name}_{i}" for i in range(self.length)]
        return times.columns(self.name, self.kind) if self.is_time else [self.name]

    @property
    def width(self) -> int | None:
        """The second dimension of the field's array; None if it has one dimension."""
        return len(times.PARTS[self.kind]) if self.is_time else self.length

    @property
    def depth(self) -> int:
        """The number of nested lists of a value in JSON."""
        return 2 if self.shape else int(self.length is not None)

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds by name, those of the number format included."""
        named = {"at_least": self.at_least, "above": self.above, "at_most": self.at_most, "below": self.below}
        bounds = {name: bound for name, bound in named.items() if bound is not None}
        if self.is_text or self.is_time:
            return bounds
        largest = FLOAT32_MAX_EXACT_INT if self.kind == "int" else FLOAT32_MAX
        if self.at_least is None and self.above is None:
            bounds["at_least"] = -largest
        if self.at_most is None and self.below is None:
            bounds["at_most"] = largest
        return bounds

    @property
    def expects(self) -> str:
        """The values that the field allows, as a phrase; it is the reason given for every violation."""
        return _phrase(self) + (", or missing" if self.nullable else "")


def _phrase(field: FieldSpec) -> str:
    if field.kind == "category":
        shown = [repr(category) for category in field.categories[:MAX_NAMED_CATEGORIES]]
        more = len(field.categories) - len(shown)
        return "one of " + ", ".join(shown) + (f" and {more} more" if more else "")
    if field.kind == "bool":
        return "true or false"
    if field.kind == "map":
        return f"a number for each of {', '.join(map(repr, field.names)) or 'the classes'}"
    if field.is_text:
        if field.whole:
            return "a whole number"
        least, most = field.min_length, field.max_length
        span = f"{most}" if least == most else f"{least} to {most}"
        return f"a text of {span} characters"
    return _NOUNS.get(field.kind, times.EXPECTED.get(field.kind, "")).format(_size(field)) + _limits(field)


_NOUNS = {"float": "a number", "int": "a whole number", "vector": "a list of {} numbers"}


def _size(field: FieldSpec) -> str:
    return f"{field.shape[0]} lists of {field.shape[1]}" if field.shape else str(field.length)


def _limits(field: FieldSpec) -> str:
    """Return the bounds as a phrase, those of the number format only where they are a reason."""
    limits = [
        f"{name.replace('_', ' ')} {_bound(bound, field)}"
        for name, bound in field.bounds.items()
        if abs(bound) != FLOAT32_MAX
    ]
    text = f", {' and '.join(limits)}" if limits else ""
    if field.kind == "int" and FLOAT32_MAX_EXACT_INT in map(abs, field.bounds.values()):
        text += " (larger ones are not exact in float32)"
    return text


def _bound(bound: float, field: FieldSpec) -> str:
    return times.iso(times.from_seconds(bound, field.kind)) if field.is_time else f"{bound:.15g}"


class Contract(BaseModel):
    """The fields of a row and of a prediction."""

    model_config = ConfigDict(frozen=True)

    row: tuple[FieldSpec, ...]
    prediction: tuple[FieldSpec, ...]
    #: The classes of a trained classification, in the order of the schema, which is that of `probabilities`. Empty
    #: before the training, and of versions before format 3: they keep the order that their model has.
    classes: tuple[bool | int | str, ...] = ()
    #: The first so many fields of a prediction are labels: 0 where the data has none.
    label_count: int = 1
    #: The probability of the second class from which on that class is predicted; None where the model decides itself.
    threshold: float | None = None

    @property
    def label(self) -> FieldSpec:
        """What the model predicts: the first field of a prediction, and the label unless the data has none."""
        return self.prediction[0]

    @property
    def labels(self) -> tuple[FieldSpec, ...]:
        """The labels, which have one kind; none where the data has none."""
        return self.prediction[: self.label_count]

    @property
    def task(self) -> Literal["regression", "classification", "unsupervised"]:
        """The kind of problem, which follows from the labels."""
        if not self.label_count:
            return "unsupervised"
        return "regression" if self.label.kind == "float" else "classification"

    @property
    def probability_names(self) -> tuple[bool | int | str, ...]:
        """What `probabilities` are of: the classes, or of several labels each label that is true."""
        return tuple(field.name for field in self.labels) if self.label_count > 1 else self.classes

    @cached_property
    def by_name(self) -> dict[str, FieldSpec]:
        """The fields of a row by name."""
        return {field.name: field for field in self.row}

    def with_classes(self, label: np.ndarray) -> Contract:
        """Return the contract with the classes of labels (n,): categories as in the schema, others ascending.

        Several labels, and a model without label, have no classes.
        """
        if self.task != "classification":
            return self
        classes: list[Any] = []
        if self.label_count == 1:
            found = np.unique(label).tolist()
            classes = [category for category in self.label.categories if category in found] or found
        contract = self.model_copy(update={"classes": tuple(classes)})
        keys = tuple(str(name).lower() if isinstance(name, bool) else str(name) for name in contract.probability_names)
        named = {"names": keys, "length": len(keys)}
        prediction = tuple(f.model_copy(update=named) if f.kind == "map" else f for f in self.prediction)
        return contract.model_copy(update={"prediction": prediction})

    def class_of(self, output: str) -> bool | int | str | None:
        """Return the class whose probability an output is, such as "probabilities[3]"; None if there is none."""
        name, _, position = output.rstrip("]").partition("[")
        names = self.probability_names
        if name == "probability" and len(self.classes) == 2:
            return self.classes[1]
        if name == "probabilities" and position.isdecimal() and int(position) < len(names):
            return names[int(position)]
        return None

    @property
    def model_columns(self) -> list[str]:
        """The names of the columns that the model sees: one for each field, one for each element of a vector."""
        return [name for field in self.row for name in field.columns]
