"""JSON rows in, columns out: the contract as callers of the service meet it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

# pydantic takes no other on Python 3.11.
from typing_extensions import TypedDict

from .columns import Columns, from_rows
from .schema import Contract, FieldSpec, Violation

#: No limit on the number of rows.
ANY = 2**31
#: Problems that are named; to describe a million of them would take a quarter of a minute and gigabytes.
NAMED = 1000
#: Rows that are looked at again together where a request has more problems than that.
STEP = 100
#: Bytes of a body that cannot hold enough mistakes to matter.
SMALL = 100_000


class InvalidRowsError(Exception):
    """A request that breaks the contract; `problems` has every bad value of every row, or the first of too many."""

    def __init__(self, problems: list[Violation]) -> None:
        self.problems = problems[:NAMED]
        more = "more than " if len(problems) > NAMED else ""
        super().__init__(
            f"{more}{len(self.problems)} value{'s break' if len(problems) > 1 else ' breaks'} the contract"
        )


class TooManyRowsError(Exception):
    """A request with more rows than a limit."""


class RowParser:
    """Parses request bodies for one contract; making one costs milliseconds, so it is kept."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._adapters: dict[int, TypeAdapter[list[dict[str, Any]]]] = {}
        #: How often ":" stands in a row at most: after the name of each field, and in words.
        self._colons = sum(
            1 + max((word.count(":") for word in column.categories), default=0) for column in contract.row
        )

    def _adapter(self, limit: int) -> TypeAdapter[list[dict[str, Any]]]:
        if limit not in self._adapters:
            self._adapters[limit] = self._make(limit)
        return self._adapters[limit]

    def _make(self, limit: int) -> TypeAdapter[list[dict[str, Any]]]:
        fields = {
            column.name: annotation(column) if column.required else NotRequired[annotation(column)]
            for column in self.contract.row
        }
        # Made at run time, from data; a type checker has nothing to hold on to.
        make: Any = TypedDict
        row: Any = with_config(ConfigDict(extra="forbid", strict=True))(make("Row", fields))
        # The limit belongs here: millions of bad rows must not be looked at before they are too many.
        return TypeAdapter(Annotated[list[row], Len(0, limit)])

    def parse(self, body: bytes, limit: int = ANY) -> tuple[int, Columns]:
        """Return the number of rows in a JSON body, and their columns.

        `InvalidRowsError` names every value that is not allowed, `TooManyRowsError` a limit that is passed.
        """
        # Fields that are not the model's are mistakes too, and millions of them fit in a body.
        if len(body) > SMALL and body.count(b":") > limit * self._colons:
            raise TooManyRowsError(limit)
        return self._columns(self._adapter(limit).validate_json, body, limit)

    def take(self, rows: list[Any]) -> tuple[int, Columns]:
        """Return the same for rows that some other protocol has brought as dicts."""
        return self._columns(self._adapter(ANY).validate_python, rows, ANY)

    def _columns(self, validate: Callable[[Any], list[dict[str, Any]]], given: Any, limit: int) -> tuple[int, Columns]:
        try:
            rows = validate(given)
        except ValidationError as error:
            if error.error_count() == 1 and error.errors()[0]["type"] == "too_long" and not error.errors()[0]["loc"]:
                raise TooManyRowsError(limit) from None
            raise InvalidRowsError(self._problems(error, given)) from None
        return len(rows), from_rows(rows, self.contract)

    def _problems(self, error: ValidationError, given: Any) -> list[Violation]:
        """Return all problems if they can be named, else those of the first rows that have too many."""
        if error.error_count() <= NAMED:
            return self._described(error, 0)
        rows = from_json(given) if isinstance(given, bytes) else given
        problems: list[Violation] = []
        for start in range(0, len(rows), STEP):
            try:
                self._adapter(ANY).validate_python(rows[start : start + STEP])
            except ValidationError as part:
                problems += self._described(part, start)
            if len(problems) > NAMED:
                break
        return problems

    def _described(self, error: ValidationError, start: int) -> list[Violation]:
        found = [self._problem(detail, start) for detail in error.errors(include_url=False)]
        # A whole number is tried as two types, and refused by both.
        return list({(problem.row, problem.field): problem for problem in found}.values())

    def _problem(self, detail: Any, start: int) -> Violation:
        location, value = detail["loc"], detail["input"]
        if not location:
            reason = detail["msg"] if detail["type"] == "json_invalid" else "the body must be a JSON list of rows"
            return Violation(None, "", None if isinstance(value, str | bytes) else value, reason)
        row = start + int(location[0])
        if len(location) == 1:
            return Violation(row, "", value, "a row must be a JSON object")
        field = str(location[1])
        column = self.contract.by_name.get(field)
        if column is None:
            names = ", ".join(self.contract.by_name)
            return Violation(row, field, value, f"not a field of this model; its fields are {names}")
        if detail["type"] == "missing":
            return Violation(row, field, None, f"the field is missing; expected {column.expects}")
        if len(location) > 2 and isinstance(location[2], int):
            field = f"{field}[{location[2]}]"
        return Violation(row, field, value, f"expected {column.expects}")


def annotation(column: FieldSpec) -> Any:
    """Return the annotation by which pydantic checks a column; 3.0 counts as the whole number 3."""
    if column.kind == "category":
        kind: Any = Literal[column.categories]
    elif column.kind == "bool":
        kind = bool
    else:
        wrap = {"at_least": Ge, "above": Gt, "at_most": Le, "below": Lt}
        number: type[float] = int if column.kind == "int" else float
        marks = [wrap[name](number(bound)) for name, bound in column.bounds.items()]
        kind = Annotated[(float, *marks)]
        if column.kind == "int":
            # JSON Schema's integers include 3.0, so both ways are one to it.
            as_integer = Field(json_schema_extra={"type": "integer"})
            whole = Annotated[(float, *marks, AfterValidator(_whole), as_integer)]
            kind = Annotated[Annotated[(int, *marks)] | whole, Field(union_mode="left_to_right")]
        if column.length is not None:
            kind = Annotated[list[kind], Len(column.length, column.length)]
    return kind | None if column.nullable else kind


def _whole(value: float) -> float:
    if not value.is_integer():
        raise ValueError("not a whole number")
    return value
