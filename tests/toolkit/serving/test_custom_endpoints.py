"""Endpoints of a project's own: which functions become routes, and what the log keeps of what they raise."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from bentoml.exceptions import BadInput, BentoMLException
from pydantic import TypeAdapter, ValidationError
from starlette.testclient import TestClient
from titanic_survival import config
from titanic_survival.model import schema
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.serving import custom_endpoints

MODULE = f"{config.PACKAGE}.model.endpoints"
SHIPPED = Path(schema.__file__).with_name("endpoints.py")
Own = Callable[[str], None]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    """Return a function that stands a text in for `model/endpoints.py`."""

    def own(text: str) -> None:
        file = tmp_path / "endpoints.py"
        file.write_text(text)
        spec = spec_from_file_location(MODULE, file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, MODULE, module)
        spec.loader.exec_module(module)

    return own


@pytest.fixture
def client(served: Path, service_with: Callable[..., Any]) -> Iterator[Callable[[], TestClient]]:
    """Return a function that starts the service over the stored versions."""
    with ExitStack() as stack:

        def start(**settings: Any) -> TestClient:
            opened = service_with(STORE=served, LOG_FOLDER=served.parent / "log", **settings)
            return stack.enter_context(TestClient(stack.enter_context(opened).application()))

        yield start


OWN = '''
from __future__ import annotations

from {package}.model.schema import Row


async def labels(rows: list[Row], predict) -> list[dict[str, object]]:
    """Return what /predict returns."""
    return await predict(rows)


async def raw(rows: list[dict], /, predict):
    """Return what /predict returns; the body is the rows."""
    return await predict(rows, "1")


async def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    The second is 2 by default.
    """
    return _sum(a, b)


async def choose(limit: float) -> float:
    """Refuse, or fail."""
    if limit > 1:
        raise ValueError("limit: at most 1")
    raise RuntimeError("broken")


def helper(a: int) -> int:
    return a


def _sum(a: int, b: int) -> int:
    return a + b


async def _hidden() -> None: ...
'''.replace("{package}", config.PACKAGE)


def test_each_async_function_is_a_route(own: Own, client: Any, rows: list[dict[str, Any]]) -> None:
    own(OWN)
    service = client()
    assert service.post("/add", json={"a": 1}).json() == 3
    assert service.post("/add", json={"a": 1, "b": 1}).json() == 2
    paths = service.get("/docs.json").json()["paths"]
    assert {"/labels", "/raw", "/add", "/choose"} <= paths.keys()
    assert "The second is 2 by default." in paths["/add"]["post"]["description"]
    for path in ("/helper", "/_sum", "/_hidden"):
        assert path not in paths
        assert service.post(path, json={"a": 1}).status_code == 404


def test_fields_and_types_show_in_the_document(own: Own, client: Any) -> None:
    own(OWN)
    document = client().get("/docs.json").json()
    described = str(document["paths"]["/labels"]) + str(document["components"])
    assert next(iter(schema.Row.model_fields)) in described
    assert "predict" not in str(document["paths"]["/labels"]["post"]["requestBody"])


def test_predict_scores_as_the_route_does(own: Own, client: Any, rows: list[dict[str, Any]]) -> None:
    own(OWN)
    service = client()
    expected = without_ids(service.post("/predict", json=rows[:3]).json())
    assert without_ids(service.post("/labels", json={"rows": rows[:3]}).json()) == expected
    raw = service.post("/raw", json=rows[:3]).json()
    assert [answer["version"] for answer in raw] == [1, 1, 1]
    assert 'model_rows_total{version="1"}' in service.get("/metrics").text


def without_ids(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in answer.items() if name != "id"} for answer in answers]


def test_callers_mistakes_are_400_and_say_what_is_wrong(own: Own, client: Any, rows: list[dict[str, Any]]) -> None:
    own(OWN)
    service = client()
    answer = service.post("/choose", json={"limit": 2})
    assert (answer.status_code, "limit: at most 1" in answer.text) == (400, True)
    answer = service.post("/raw", json=[{}])
    assert (answer.status_code, "row 0: " in answer.text) == (400, True)
    assert service.post("/labels", json={"rows": [{}]}).status_code == 400
    assert service.post("/add", json={"a": "x"}).status_code == 400


def test_other_errors_are_500(own: Own, client: Any) -> None:
    own(OWN)
    assert client().post("/choose", json={"limit": 0}).status_code == 500


def test_access_control_covers_them(own: Own, client: Any, tmp_path: Path) -> None:
    own(OWN)
    (tmp_path / "tokens").write_text("a-token-of-some-length\n")
    service = client(AUTH="token", TOKENS=tmp_path / "tokens")
    assert service.post("/add", json={"a": 1}).status_code == 401
    known = {"Authorization": "Bearer a-token-of-some-length"}
    assert service.post("/add", json={"a": 1}, headers=known).json() == 3


def test_the_shipped_example_works_as_shown(own: Own, client: Any, rows: list[dict[str, Any]]) -> None:
    if "survived" not in schema.Prediction.model_fields:
        pytest.skip("the example is of the Titanic")
    text = SHIPPED.read_text()
    shown = [line.removeprefix("#").removeprefix(" ") for line in text.splitlines() if line.startswith("#")]
    own("\n".join(shown).replace("from .schema", f"from {config.PACKAGE}.model.schema"))
    service = client()
    expected = [answer["survived"] for answer in service.post("/predict", json=rows[:3]).json()]
    assert service.post("/labels", json={"rows": rows[:3]}).json() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("async def ping(): ...", "the service answers /ping itself"),
        ("def labels(rows, predict): ...", "write `async def labels`"),
        ("async def labels(rows, /, more): ...", "no other parameters can be specified"),
    ],
)
def test_what_cannot_be_a_route_is_said_in_a_sentence(own: Own, text: str, said: str) -> None:
    own(text)
    with pytest.raises(UserError, match=said) as error:
        custom_endpoints.with_endpoints(MODULE, lambda: None)(type("Service", (), {}))
    assert str(error.value).startswith("model/endpoints.py: ")


def test_without_the_file_there_are_none() -> None:
    service = type("Service", (), {})
    before = set(vars(service))
    added = custom_endpoints.with_endpoints(f"{config.PACKAGE}.model.nothing", lambda: None)(service)
    assert added is service
    assert set(vars(service)) == before


def test_every_path_that_the_service_answers_itself_is_taken(client: Any) -> None:
    paths = client().get("/docs.json").json()["paths"]
    plain = {path[1:].split("/")[0] for path in paths}
    assert {name for name in plain if name.isidentifier()} <= custom_endpoints.TAKEN


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(int).validate_python("x")
    return error.value


@pytest.mark.parametrize("logger", custom_endpoints.LOGGERS)
def test_faults_are_logged_and_callers_mistakes_are_not(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    custom_endpoints.log_server_errors_only()
    gone = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    for error in (BadInput("bad"), invalid(), gone, RuntimeError("broken"), BentoMLException("fault")):
        logging.getLogger(logger).error("in an endpoint", exc_info=error)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken", "fault"]
