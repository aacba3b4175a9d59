"""The OpenAPI document, which Swagger UI shows: schemas of the contract, operations, errors."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveVersion, ReleaseSnapshot
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.serving import openapi
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.version.artifact import Artifact


class Row(BaseModel):
    """A field of each kind."""

    number: float = Field(gt=0, le=10, description="how much")
    maybe: float | None = None
    count: int = Field(default=3, ge=0, lt=9)
    truth: bool = True
    kind: Literal["a", "b"]
    maybe_kind: Literal["a", "b"] | None = None
    vector: list[Annotated[float, Field(ge=0)]] = Field(min_length=2, max_length=2)
    maybe_count: int | None = Field(default=None, ge=0)
    maybe_truth: bool | None = None
    only: Literal["a"] = "a"
    maybe_only: Literal["a"] | None = "a"


class Prediction(BaseModel):
    """Any label."""

    label: bool


class Regression(BaseModel):
    """A regression's prediction, and a field of each kind of number."""

    learned: float = Field(ge=0, le=9)
    probability: float = Field(ge=0, le=1)
    grade: int = Field(ge=1, le=5)
    count: int = Field(ge=0)
    probabilities: list[float] = Field(min_length=2, max_length=2)


class Other(BaseModel):
    """Another row."""

    size: float


class Zero:
    """Predicts false or 0 for every row."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return every field of both predictions."""
        zeros = np.zeros(len(frame))
        return {
            "label": zeros > 0,
            "learned": zeros,
            "probability": zeros,
            "grade": zeros,
            "count": zeros,
            "probabilities": np.zeros((len(frame), 2)),
        }


def document_of(version: Artifact, *others: Artifact, bentoml: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the document of a release: version 7 is its champion, others are 8 and so on, and one is called old."""
    versions = {number: LiveVersion(number, artifact, "model") for number, artifact in enumerate((version, *others), 7)}
    names = {number: ("champion",) if number == 7 else ("old",) for number in versions}
    snapshot = ReleaseSnapshot(Release.now("model", 7, names), versions)
    return openapi.document(
        snapshot, Limits(50, 1000), title="Title", description="What it predicts.", bentoml_document=bentoml or {}
    )


@pytest.fixture
def kinds(save: Callable[..., Artifact]) -> Artifact:
    return save(Row, Prediction, Zero(), [{"number": 1, "kind": "a", "vector": [0, 1]}])


@pytest.fixture
def document(kinds: Artifact) -> dict[str, Any]:
    return document_of(kinds)


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_row_has_type_bounds_categories_defaults_and_null(document: dict[str, Any]) -> None:
    row = document["components"]["schemas"]["Row"]
    fields = row["properties"]
    assert row["required"] == ["number", "kind", "vector"]
    assert row["additionalProperties"] is False
    assert fields["number"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "description": "how much"}
    assert fields["maybe"]["type"] == ["number", "null"]
    assert fields["maybe"]["default"] is None
    assert fields["count"] == {"type": "integer", "minimum": 0, "exclusiveMaximum": 9, "default": 3}
    assert fields["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["maybe_kind"] == {"type": ["string", "null"], "enum": ["a", "b", None], "default": None}
    assert (fields["vector"]["minItems"], fields["vector"]["maxItems"]) == (2, 2)
    assert fields["vector"]["items"]["minimum"] == 0
    assert (fields["maybe_count"]["type"], fields["maybe_count"]["minimum"]) == (["integer", "null"], 0)
    assert fields["maybe_truth"] == {"type": ["boolean", "null"], "default": None}
    assert fields["only"]["enum"] == ["a"]
    assert fields["maybe_only"] == {"type": ["string", "null"], "enum": ["a", None], "default": "a"}


def test_default_and_bounds_have_the_type_of_their_field(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["Row"]["properties"]
    assert fields["truth"]["default"] is True
    assert [type(fields["count"][keyword]) for keyword in ("default", "minimum", "exclusiveMaximum")] == [int] * 3


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names
    assert names <= document["components"]["schemas"].keys()


def test_number_without_bounds_has_those_of_its_format(document: dict[str, Any]) -> None:
    field = document["components"]["schemas"]["Row"]["properties"]["maybe"]
    assert (field["minimum"], field["maximum"]) == (-np.finfo(np.float32).max, np.finfo(np.float32).max)


def test_prediction_has_declared_bounds_and_null_for_nan(save: Callable[..., Artifact]) -> None:
    fields = document_of(save(Row, Regression, Zero(), [{"number": 1, "kind": "a", "vector": [0, 1]}]))["components"][
        "schemas"
    ]["Prediction"]["properties"]
    assert fields["learned"] == {"type": ["number", "null"]}, "a regression may predict beyond the bounds of its labels"
    assert fields["probability"] == {"type": ["number", "null"], "minimum": 0, "maximum": 1}
    assert fields["grade"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert fields["count"] == {"type": "integer", "minimum": 0}, "the limits of float32 hold in requests only"
    assert fields["probabilities"]["items"]["type"] == ["number", "null"]


def test_scoring_routes_go_before_other_endpoints(kinds: Artifact) -> None:
    bentoml = {"paths": {"/own": {"post": {}}, "/predict": {"get": {}}}, "components": {"schemas": {"Own": {}}}}
    document = document_of(kinds, bentoml=bentoml)
    assert document["info"] == {"title": "Title", "description": "What it predicts.", "version": "version 7"}
    assert list(document["paths"]["/predict"]) == ["post"]
    assert "/own" in document["paths"]
    assert {"Own", "Row", "Prediction"} <= document["components"]["schemas"].keys()


def test_requests_have_the_limits_of_rows_and_bytes(document: dict[str, Any]) -> None:
    def max_items(path: str) -> int:
        return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["maxItems"]

    assert [max_items(path) for path in ("/predict", "/explain", "/feedback")] == [50, 100, 50]
    too_large = document["paths"]["/predict"]["post"]["responses"]["413"]["description"]
    assert "50 rows" in too_large
    assert "1000 bytes" in too_large


def test_parameters_are_the_model_and_examples_of_versions(document: dict[str, Any]) -> None:
    model, version = document["paths"]["/v2/models/{model}/versions/{version}/infer"]["post"]["parameters"]
    assert model["schema"]["enum"] == ["model"]
    assert list(version["examples"]) == ["7", "champion"]


def test_versions_that_take_the_same_rows_share_a_path(kinds: Artifact) -> None:
    document = document_of(kinds, kinds)
    [version] = document["paths"]["/versions/{version}/predict"]["post"]["parameters"]
    assert list(version["examples"]) == ["7", "champion", "8", "old"]
    assert document["paths"].keys() == document_of(kinds)["paths"].keys()


def test_version_that_takes_other_rows_has_paths_of_its_own(kinds: Artifact, save: Callable[..., Artifact]) -> None:
    other = save(Other, Regression, Zero(), [{"size": 1}], name="other")
    document = document_of(kinds, other)
    paths, schemas = document["paths"], document["components"]["schemas"]
    for reference in ("8", "old"):
        body = paths[f"/versions/{reference}/predict"]["post"]["requestBody"]["content"]["application/json"]
        assert list(schemas[body["schema"]["items"]["$ref"].rpartition("/")[2]]["properties"]) == ["size"]
        assert body["example"] == [{"size": 1}]
        assert "/v2/models/{model}/versions/" + reference + "/infer" in paths
    [version] = paths["/versions/{version}/explain"]["post"]["parameters"]
    assert list(version["examples"]) == ["7", "champion"]
    assert list(paths["/v2/models/{model}/versions/{version}"]["get"]["parameters"][1]["examples"])[2:] == ["8", "old"]
    labels = paths["/feedback"]["post"]["requestBody"]["content"]["application/json"]["schema"]["items"]["anyOf"]
    assert len(labels) == 2
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)


def test_errors_are_described_in_the_form_of_their_protocol(document: dict[str, Any]) -> None:
    for path in ("/predict", "/explain", "/invocations", "/v2/models/{model}/infer"):
        answers = document["paths"][path]["post"]["responses"]
        assert {"200", "400", "413", "429", "500", "503"} <= answers.keys()
        assert answers["429"]["headers"]["Retry-After"]["required"]
        form = "MlflowError" if path == "/invocations" else "Error"
        assert answers["503"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{form}")


def test_document_of_this_project_describes_every_field(version: Artifact, contract: Contract) -> None:
    schemas = document_of(version)["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == list(contract.by_name)
    assert list(schemas["Prediction"]["properties"]) == [c.name for c in contract.prediction] + ["id", "version"]


def test_schemas_are_the_same_each_time(kinds: Artifact) -> None:
    assert document_of(kinds)["components"] == document_of(kinds)["components"]


def test_summaries_are_sentences_and_each_operation_has_its_own_id(document: dict[str, Any]) -> None:
    found = operations(document)
    assert all(operation["summary"][0].isupper() for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert document["paths"]["/feedback"]["post"]["summary"] == "Send actual labels for predictions, by id"
