"""The document behind Swagger UI: the contract, in OpenAPI's words."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field

from {{ cookiecutter.package_name }}.toolkit import openapi
from {{ cookiecutter.package_name }}.toolkit.artifact import Artifact
from {{ cookiecutter.package_name }}.toolkit.contract import Contract
from {{ cookiecutter.package_name }}.toolkit.released import Served


class Row(BaseModel):
    """A field of each kind."""

    number: float = Field(gt=0, le=10, description="how much")
    maybe: float | None = None
    count: int = Field(default=3, ge=0, lt=9)
    truth: bool = True
    word: Literal["a", "b"]
    maybe_word: Literal["a", "b"] | None = None
    vector: list[Annotated[float, Field(ge=0)]] = Field(min_length=2, max_length=2)


class Prediction(BaseModel):
    """Any label."""

    label: bool


class Never:
    """Always says no."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return the label."""
        return np.zeros(len(frame), bool)


def document_of(version: Artifact, further: dict[str, Any] | None = None) -> dict[str, Any]:
    served = Served(7, version, "model")
    return openapi.document(served, title="Title", description="What it says.", further=further or {})


@pytest.fixture
def document(save: Callable[..., Artifact]) -> dict[str, Any]:
    version = save(Row, Prediction, Never(), [{"number": 1, "word": "a", "vector": [0, 1]}])
    return document_of(version)


def test_row_says_kind_bounds_choices_and_what_may_be_missing(document: dict[str, Any]) -> None:
    row = document["components"]["schemas"]["Row"]
    fields = row["properties"]
    assert row["required"] == ["number", "word", "vector"]
    assert row["additionalProperties"] is False
    assert fields["number"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "description": "how much"}
    assert fields["maybe"]["type"] == ["number", "null"]
    assert fields["count"] == {"type": "integer", "minimum": 0, "exclusiveMaximum": 9, "default": 3}
    assert fields["word"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["maybe_word"] == {"type": ["string", "null"], "enum": ["a", "b", None]}
    assert (fields["vector"]["minItems"], fields["vector"]["maxItems"]) == (2, 2)
    assert fields["vector"]["items"]["minimum"] == 0


def test_default_has_the_type_of_its_field(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["Row"]["properties"]
    assert fields["truth"]["default"] is True
    assert isinstance(fields["count"]["default"], int)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names
    assert names <= document["components"]["schemas"].keys()


def test_routes_of_the_service_stand_beside(save: Callable[..., Artifact]) -> None:
    version = save(Row, Prediction, Never(), [{"number": 1, "word": "a", "vector": [0, 1]}])
    further = {"paths": {"/own": {"post": {}}}, "components": {"schemas": {"Own": {}}}}
    document = document_of(version, further)
    assert document["info"] == {"title": "Title", "description": "What it says.", "version": "version 7"}
    routes = {"/own", "/predict", "/versions/{version}/predict", "/explain", "/versions/{version}/explain", "/feedback"}
    assert routes | {"/model"} <= document["paths"].keys()
    assert {"Own", "Row", "Prediction", "Explanation"} <= document["components"]["schemas"].keys()


def test_document_of_this_project_describes_every_field(version: Artifact, contract: Contract) -> None:
    schemas = document_of(version)["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == list(contract.by_name)
    assert list(schemas["Prediction"]["properties"]) == [c.name for c in contract.prediction] + ["id", "version"]
