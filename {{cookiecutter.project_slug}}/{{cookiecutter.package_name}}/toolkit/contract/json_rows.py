"""JSON rows in, columns out: the checks of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired

from annotated_types import Len
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

# pydantic needs typing_extensions' TypedDict before Python 3.12.
from typing_extensions import TypedDict

from . import column_names, large_json
from .annotations import annotation
from .columns import Columns, concatenate, from_rows
from .schema import Contract, FieldSpec, Violation

#: No limit on the number of rows.
UNLIMITED = 2**31
#: Violations that are reported; to describe a million of them would take a quarter of a minute and gigabytes.
MAX_VIOLATIONS = 1000
#: Rows that are validated together in the second pass, which looks for the first rows with violations.
SECOND_PASS_ROWS = 100
#: Up to this size a body is parsed at once: it takes some milliseconds, and cannot hold enough violations to matter.
SMALL_BODY_BYTES = 65_536
#: Values that are validated at once, of larger ones.
PIECE_VALUES = 5_000


class InvalidRowsError(Exception):
    """A request that breaks the contract; `violations` has all of them, or the first of too many."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations[:MAX_VIOLATIONS]
        more = "more than " if len(violations) > MAX_VIOLATIONS else ""
        super().__init__(
            f"{more}{len(self.violations)} value{'s break' if len(violations) > 1 else ' breaks'} the contract"
        )


class TooManyRowsError(Exception):
    """A request with more rows than a limit."""


class RowParser:
    """Parses request bodies for one contract; made once, since that takes milliseconds."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._adapters: dict[int, TypeAdapter[list[dict[str, Any]]]] = {}
        #: The most ":" that a row can hold: after the name of each field, in texts and in times.
        self._colons = sum(1 + _most_colons(field) for field in contract.row)
        #: The lists and objects of a row.
        self._containers = 1 + sum(1 + (field.shape[0] if field.shape else 0) for field in contract.row)
        #: The values of a row.
        self._values = sum(field.width or 1 for field in contract.row)

    def _adapter(self, limit: int) -> TypeAdapter[list[dict[str, Any]]]:
        if limit not in self._adapters:
            self._adapters[limit] = self._make(limit)
        return self._adapters[limit]

    def _make(self, limit: int) -> TypeAdapter[list[dict[str, Any]]]:
        fields = {
            field.name: annotation(field) if field.required else NotRequired[annotation(field)]
            for field in self.contract.row
        }
        # Any: mypy cannot check a TypedDict built at run time.
        make: Any = TypedDict
        row: Any = with_config(ConfigDict(extra="forbid", strict=True))(make("Row", fields))
        # The limit belongs here: rows are counted before millions of them are validated.
        return TypeAdapter(Annotated[list[row], Len(0, limit)])

    def parse(self, body: bytes, limit: int = UNLIMITED) -> tuple[int, Columns]:
        """Return the number of rows in a JSON body, and their columns.

        `InvalidRowsError` has every violation; `TooManyRowsError` says that there are more rows than the limit.
        """
        if len(body) <= SMALL_BODY_BYTES:
            return self._columns(self._adapter(limit).validate_json, body, limit)
        # Unknown fields are violations too, and millions of them fit in a body.
        step = large_json.PIECE_BYTES
        if sum(body.count(b":", at, at + step) for at in range(0, len(body), step)) > limit * self._colons:
            raise TooManyRowsError(limit)
        try:
            rows = self.load(body, limit)
        except ValueError as error:
            raise InvalidRowsError([Violation(None, "", None, f"Invalid JSON: {error}")]) from None
        if not isinstance(rows, list):
            raise InvalidRowsError([Violation(None, "", rows, "the body must be a JSON list of rows")])
        return self.parse_dicts(rows)

    def load(self, body: bytes, limit: int) -> Any:
        """Return what a JSON body holds, which need not be valid rows; ValueError if it is no JSON.

        `TooManyRowsError`: a large body has more elements than rows may have. They are counted before it is parsed.
        """
        if len(body) <= SMALL_BODY_BYTES:
            return from_json(body)
        try:
            # A row is one list or object, and so are its vectors; the rest are those around the rows.
            return large_json.parse(body, limit, (limit + 1) * self._containers)
        except large_json.TooManyElementsError:
            raise TooManyRowsError(limit) from None

    def parse_dicts(self, rows: list[Any]) -> tuple[int, Columns]:
        """Validate rows that are already dicts; return their number and columns."""
        step = max(1, PIECE_VALUES // self._values)
        validate = self._adapter(UNLIMITED).validate_python
        if len(rows) <= step:
            return self._columns(validate, rows, UNLIMITED)
        parts: list[Columns] = []
        violations: list[Violation] = []
        for start in range(0, len(rows), step):
            try:
                valid = validate(rows[start : start + step])
                if not violations:
                    parts.append(from_rows(valid, self.contract))
            except ValidationError as error:
                violations += self._describe(error, start)
            if len(violations) > MAX_VIOLATIONS:
                break
        if violations:
            raise InvalidRowsError(violations)
        return len(rows), concatenate(parts)

    def _columns(self, validate: Callable[[Any], list[dict[str, Any]]], given: Any, limit: int) -> tuple[int, Columns]:
        try:
            rows = validate(given)
        except ValidationError as error:
            if error.error_count() == 1 and error.errors()[0]["type"] == "too_long" and not error.errors()[0]["loc"]:
                raise TooManyRowsError(limit) from None
            raise InvalidRowsError(self._violations(error, given)) from None
        return len(rows), from_rows(rows, self.contract)

    def _violations(self, error: ValidationError, given: Any) -> list[Violation]:
        """Return all violations, or, of too many, those of the first rows."""
        if error.error_count() <= MAX_VIOLATIONS:
            return self._describe(error, 0)
        rows = from_json(given) if isinstance(given, bytes) else given
        violations: list[Violation] = []
        for start in range(0, len(rows), SECOND_PASS_ROWS):
            try:
                self._adapter(UNLIMITED).validate_python(rows[start : start + SECOND_PASS_ROWS])
            except ValidationError as part:
                violations += self._describe(part, start)
            if len(violations) > MAX_VIOLATIONS:
                break
        return violations

    def _describe(self, error: ValidationError, start: int) -> list[Violation]:
        details = error.errors(include_url=False)
        unknown = dict.fromkeys(str(detail["loc"][1]) for detail in details if detail["type"] == "extra_forbidden")
        # A few: a request may bring a thousand names, and each takes up to a millisecond.
        meant = {name: column_names.nearest(name, self.contract.row) for name in [*unknown][: column_names.MAX_NAMES]}
        found = [self._violation(detail, start, meant) for detail in details]
        # A whole number is validated as two types, so that one value has two errors.
        return list({(violation.row, violation.field): violation for violation in found}.values())

    def _violation(self, detail: Any, start: int, meant: dict[str, str]) -> Violation:
        location, value = detail["loc"], detail["input"]
        if not location:
            reason = detail["msg"] if detail["type"] == "json_invalid" else "the body must be a JSON list of rows"
            return Violation(None, "", None if isinstance(value, str | bytes) else value, reason)
        row = start + int(location[0])
        if len(location) == 1:
            return Violation(row, "", value, "a row must be a JSON object")
        name = str(location[1])
        field = self.contract.by_name.get(name)
        if field is None:
            guess = f" (did you mean {meant[name]!r}?)" if meant.get(name) else ""
            names = ", ".join(self.contract.by_name)
            return Violation(row, name, value, f"not a field of this model{guess}; its fields are {names}")
        if detail["type"] == "missing":
            return Violation(row, name, None, f"the field is missing; expected {field.expects}")
        if len(location) > 2 and isinstance(location[2], int):
            name = f"{name}[{location[2]}]"
        return Violation(row, name, value, f"expected {field.expects}")


def _most_colons(field: FieldSpec) -> int:
    if field.is_time:
        return 3  # those of an offset among them
    return field.max_length or max((category.count(":") for category in field.categories), default=0)
