"""The document behind Swagger UI: the contract, in OpenAPI's words."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.release.store import Release
from titanic_survival.toolkit.serving import openapi
from titanic_survival.toolkit.serving.live_release import LiveVersion, ReleaseSnapshot
from titanic_survival.toolkit.version.artifact import Artifact


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


class Answer(BaseModel):
    """What a regression says, and more."""

    learned: float = Field(ge=0, le=9)
    chance: float = Field(ge=0, le=1)
    grade: int = Field(ge=1, le=5)
    chances: list[float] = Field(min_length=2, max_length=2)


class Other(BaseModel):
    """Another row."""

    size: float


class Never:
    """Says no, or nothing, to everything."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return every field that there is."""
        none = np.zeros(len(frame))
        return {"label": none > 0, "learned": none, "chance": none, "grade": none, "chances": np.zeros((len(frame), 2))}


def document_of(version: Artifact, *others: Artifact, further: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the document of a release: version 7 is its champion, others are 8 and so on, and one is called old."""
    versions = {number: LiveVersion(number, artifact, "model") for number, artifact in enumerate((version, *others), 7)}
    names = {number: ("champion",) if number == 7 else ("old",) for number in versions}
    loaded = ReleaseSnapshot(Release.now("model", 7, names), versions)
    return openapi.document(
        loaded, max_rows=50, max_bytes=1000, title="Title", description="What it says.", further=further or {}
    )


@pytest.fixture
def kinds(save: Callable[..., Artifact]) -> Artifact:
    return save(Row, Prediction, Never(), [{"number": 1, "word": "a", "vector": [0, 1]}])


@pytest.fixture
def document(kinds: Artifact) -> dict[str, Any]:
    return document_of(kinds)


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_row_says_kind_bounds_choices_and_what_may_be_missing(document: dict[str, Any]) -> None:
    row = document["components"]["schemas"]["Row"]
    fields = row["properties"]
    assert row["required"] == ["number", "word", "vector"]
    assert row["additionalProperties"] is False
    assert fields["number"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "description": "how much"}
    assert fields["maybe"]["type"] == ["number", "null"]
    assert fields["maybe"]["default"] is None
    assert fields["count"] == {"type": "integer", "minimum": 0, "exclusiveMaximum": 9, "default": 3}
    assert fields["word"] == {"type": "string", "enum": ["a", "b"]}
    assert fields["maybe_word"] == {"type": ["string", "null"], "enum": ["a", "b", None], "default": None}
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


def test_number_without_bounds_has_those_of_its_format(document: dict[str, Any]) -> None:
    field = document["components"]["schemas"]["Row"]["properties"]["maybe"]
    assert (field["minimum"], field["maximum"]) == (-np.finfo(np.float32).max, np.finfo(np.float32).max)


def test_answer_promises_what_a_model_keeps(save: Callable[..., Artifact]) -> None:
    fields = document_of(save(Row, Answer, Never(), [{"number": 1, "word": "a", "vector": [0, 1]}]))["components"][
        "schemas"
    ]["Prediction"]["properties"]
    assert fields["learned"] == {"type": ["number", "null"]}, "what is learned from bounded numbers may lie beyond"
    assert fields["chance"] == {"type": ["number", "null"], "minimum": 0, "maximum": 1}
    assert fields["grade"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert fields["chances"]["items"]["type"] == ["number", "null"]


def test_what_is_in_front_answers(kinds: Artifact) -> None:
    further = {"paths": {"/own": {"post": {}}, "/predict": {"get": {}}}, "components": {"schemas": {"Own": {}}}}
    document = document_of(kinds, further=further)
    assert document["info"] == {"title": "Title", "description": "What it says.", "version": "version 7"}
    assert list(document["paths"]["/predict"]) == ["post"]
    assert "/own" in document["paths"]
    assert {"Own", "Row", "Prediction"} <= document["components"]["schemas"].keys()


def test_requests_say_how_much_they_may_bring(document: dict[str, Any]) -> None:
    def most(path: str) -> int:
        return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["maxItems"]

    assert [most(path) for path in ("/predict", "/explain", "/feedback")] == [50, 100, 50]
    refused = document["paths"]["/predict"]["post"]["responses"]["413"]["description"]
    assert "50 rows" in refused
    assert "1000 bytes" in refused


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
    other = save(Other, Answer, Never(), [{"size": 1}], name="other")
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


def test_refusals_are_described_in_the_form_of_their_protocol(document: dict[str, Any]) -> None:
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
