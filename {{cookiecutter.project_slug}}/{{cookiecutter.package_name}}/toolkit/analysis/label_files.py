"""Files of labels: what refers to predictions, and the labels, checked by the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..batch import columns_check
from ..batch.parts import Part, plan
from ..common.errors import UserError
from ..contract import arrow_values, column_names, dataframes
from ..contract.schema import MISSING_TEXTS, Contract, FieldSpec, Violation
from ..monitoring import feedback_log

ID, KEY, TIME = "id", "key", "time"
#: Kinds of fields that can name a row.
KEY_KINDS = ("int", "key", "text", "category")
EXAMPLE = "For example: make feedback INPUT=labels.csv"
Progress = Callable[[int, float], None]


class Reference(NamedTuple):
    """How a row of labels refers to predictions: by their id, by the caller's key, or by a field of their rows."""

    by: Literal["id", "key", "field"]
    #: What the values are.
    field: FieldSpec

    @property
    def name(self) -> str:
        """The column."""
        return self.field.name


class LabelBatch(NamedTuple):
    """Some rows of a file; arrays have one entry for each of them."""

    rows: pa.RecordBatch
    file: str
    #: Position of the first row in the file.
    first_row: int
    #: What refers to predictions: texts, or float32.
    references: np.ndarray
    #: When the label was known, datetime64[us]; the same for all where the file has no times.
    time: np.ndarray
    labels: list[np.ndarray]
    valid: np.ndarray
    #: Rows that have no label yet; they are not valid, and no violation.
    unlabelled: np.ndarray
    violations: list[Violation]


class LabelFiles(NamedTuple):
    """Rows of labels."""

    parts: list[Part]
    reference: Reference
    labels: tuple[FieldSpec, ...]
    #: Whether the rows have a time.
    timed: bool
    model: str

    def read(self, progress: Progress = lambda rows, share: None) -> Iterator[LabelBatch]:
        """Yield the rows, checked."""
        total = sum(part.size for part in self.parts) or 1
        before = 0
        for part in self.parts:
            position = part.first_row
            with part.open() as rows:
                for batch in rows.batches:
                    yield self._check(batch, part.address, position)
                    position += len(batch)
                    share = (position - part.first_row) / part.rows if part.rows else rows.share_read()
                    progress(len(batch), (before + part.size * share) / total)
            part.check_unchanged()
            before += part.size

    def _check(self, batch: pa.RecordBatch, file: str, first_row: int) -> LabelBatch:
        violations: list[Violation] = []
        references, invalid = self._references(batch, violations)
        time = np.zeros(len(batch), "datetime64[us]")
        if self.timed:
            time = _times(arrow_values.as_series(batch.column(TIME)))
            missing = np.isnat(time)
            violations += _violations(batch, TIME, missing, "expected a date and time such as 2026-01-31T18:30:00Z")
            invalid |= missing
        columns = [arrow_values.column(batch, label.name) for label in self.labels]
        checked = [arrow_values.check(column, label) for column, label in zip(columns, self.labels, strict=True)]
        # A category may have the name of a missing value.
        absent = [wrong & _missing(column) for column, (_, wrong) in zip(columns, checked, strict=True)]
        unlabelled = np.all(absent, axis=0)
        for label, (_, wrong) in zip(self.labels, checked, strict=True):
            wrong = wrong & ~unlabelled
            violations += _violations(batch, label.name, wrong, f"expected {label.expects}")
            invalid |= wrong
        labels = [array for array, _ in checked]
        return LabelBatch(
            batch, file, first_row, references, time, labels, ~(invalid | unlabelled), unlabelled & ~invalid, violations
        )

    def _references(self, batch: pa.RecordBatch, violations: list[Violation]) -> tuple[np.ndarray, np.ndarray]:
        """Return what refers to predictions, and a mask of what does not."""
        column, field = arrow_values.column(batch, self.reference.name), self.reference.field
        if self.reference.by == "field":
            references, invalid = arrow_values.check(column, field)
            reason = dataframes.reason(field, is_numeric=arrow_values.is_numeric(column.type))
            violations += _violations(batch, field.name, invalid, reason)
            return references, invalid
        if self.reference.by == "key":
            column = pc.cast(column, pa.string()) if arrow_values.is_plain(column.type) else column
        values = column.to_pylist()
        if self.reference.by == "key":
            reasons = ["" if isinstance(value, str) and value else "expected a key of a caller" for value in values]
        else:
            reasons = [self._id_problem(value) for value in values]
        wrong = [row for row, reason in enumerate(reasons) if reason]
        violations += [Violation(row, self.reference.name, values[row], reasons[row]) for row in wrong]
        invalid = np.zeros(len(batch), bool)
        invalid[wrong] = True
        texts = [value.lower() if self.reference.by == "id" else value for value in _texts(values)]
        return np.array(texts, object), invalid

    def _id_problem(self, value: object) -> str:
        prediction = feedback_log.identify(value, self.model)
        return prediction if isinstance(prediction, str) else feedback_log.mismatch(prediction, self.labels)


def open_labels(address: str, contract: Contract, model: str, key: str = "") -> LabelFiles:
    """Return the labels of a file, a folder or a pattern of files; `key` is the column that refers to predictions.

    `UserError` if the columns do not fit, before a row is read.
    """
    if not contract.labels:
        raise UserError("The model learns without a label, so there is none that feedback could be compared with.")
    parts = plan(address)
    reference: Reference | None = None
    timed = False
    for place in dict.fromkeys(part.address for part in parts):
        with next(part for part in parts if part.address == place).open() as rows:
            schema = rows.schema
        found = _reference(schema.names, contract, key, place)
        has_time = found.by != "id" and TIME in schema.names
        if reference not in (None, found) or (reference and has_time != timed):
            raise UserError(f"{place} has other columns than {parts[0].address}: {', '.join(schema.names)}")
        reference, timed = found, has_time
        _check_columns(schema, found, contract.labels, place)
    assert reference, "an input has at least one file"
    return LabelFiles(parts, reference, contract.labels, timed, model)


def _reference(names: list[str], contract: Contract, key: str, place: str) -> Reference:
    if key in contract.by_name:
        field = contract.by_name[key]
        if field.kind not in KEY_KINDS:
            raise UserError(
                f"KEY={key}: the field is {field.expects}, which names no row; choose a text, key or whole number"
            )
        return Reference("field", field.model_copy(update={"nullable": False}))
    if key not in ("", ID, KEY):
        raise UserError(
            f"KEY={key} is no field of Row, and not 'key', the header X-Key of callers; the fields are "
            f"{', '.join(contract.by_name)}"
        )
    for name in (key,) if key else (ID, KEY):
        if name in names or key:
            return Reference("id" if name == ID else "key", FieldSpec(name=name, kind="text"))
    raise UserError(
        f"{place} has no column that says which predictions the labels belong to: 'id', or 'key' for the header X-Key "
        "of callers, or a field of the rows, named by KEY (make feedback INPUT=labels.csv KEY=customer_id). "
        f"Its columns are {', '.join(names)}"
    )


def _check_columns(schema: pa.Schema, reference: Reference, labels: tuple[FieldSpec, ...], place: str) -> None:
    """Raise `UserError` if a column is missing, there twice, or of a type that has no valid value."""
    names = Counter(schema.names)
    lines = []
    for field in (reference.field, *labels):
        if names[field.name] > 1:
            lines.append(f"{field.name}: two columns have this name; remove or rename one")
        elif field.name not in names:
            guess = column_names.guesses([field], names.keys() - {reference.name, TIME})
            expected = field.expects if field in labels or reference.by == "field" else "what refers to predictions"
            lines.append(f"{field.name}: the column is missing{guess}; expected {expected}")
        elif field in labels and not columns_check.fits(schema.field(field.name).type, field):
            lines.append(
                f"{field.name}: the column's type is {schema.field(field.name).type}; expected {field.expects}"
            )
    if lines:
        listed = "".join(f"\n  - {line}" for line in lines)
        raise UserError(f"{place} has no labels that can be used; its columns are {', '.join(schema.names)}:{listed}")


def _violations(batch: pa.RecordBatch, name: str, invalid: np.ndarray, reason: str) -> list[Violation]:
    where = np.flatnonzero(invalid)
    values = arrow_values.take(batch.column(name), where).to_pylist()
    return [Violation(row, name, value, reason) for row, value in zip(where.tolist(), values, strict=True)]


def _missing(column: pa.Array) -> np.ndarray:
    """Return a mask of the values that are missing."""
    return np.array([value is None or value != value or value in MISSING_TEXTS for value in column.to_pylist()], bool)


def _times(values: pd.Series) -> np.ndarray:
    """Return dates, times, or texts in ISO 8601 as datetime64[us] in UTC, NaT for what is none."""
    if pd.api.types.is_numeric_dtype(values):
        return np.full(len(values), "NaT", "datetime64[us]")
    found = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")
    array: np.ndarray = found.dt.tz_localize(None).to_numpy("datetime64[us]")
    return array


def _texts(values: list[object]) -> list[str]:
    return [value if isinstance(value, str) else "" for value in values]
