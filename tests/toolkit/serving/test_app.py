"""The scoring routes: what callers get, whatever they send."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from titanic_survival.toolkit.contract.schema import Contract
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.monitoring.prediction_log import LogFile
from titanic_survival.toolkit.serving import app
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.protocols import open_inference
from titanic_survival.toolkit.serving.scoring import Scorer

MAX_ROWS, MAX_BYTES = 200, 1_000_000


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """Answer 418 where the service behind would answer."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture(scope="module")
def routes(served: Path) -> app.Routes:
    live = LiveRelease(served)
    live.load()
    feedback = LogFile(served.parent / "log", "feedback", 0)
    return app.Routes(
        Scorer(live, Limits(MAX_ROWS, MAX_BYTES)), feedback, title="Ours & <theirs>", description="What it says."
    )


@pytest.fixture(scope="module")
def client(routes: app.Routes) -> TestClient:
    # A fault of the service must show as 500, as callers would see it.
    return TestClient(app.ScoringMiddleware(nobody, routes), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def invalid(contract: Contract) -> dict[str, Any]:
    """Return a value for each field that no schema allows."""
    return {column.name: {} for column in contract.row}


def bare(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in answer.items() if k not in ("id", "version")} for answer in answers]


def test_predictions_come_in_order_with_id_and_version(
    client: TestClient, rows: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert bare(answer.json()) == expected
    assert {row["version"] for row in answer.json()} == {2}
    assert len({row["id"] for row in answer.json()}) == len(rows)


def test_no_rows_get_no_predictions(client: TestClient) -> None:
    answer = client.post("/predict", content=b"[]")
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(("reference", "number"), [("1", 1), ("2", 2), ("champion", 2), ("challenger", 2)])
def test_version_is_named_by_number_or_alias(
    client: TestClient,
    rows: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    reference: str,
    number: int,
) -> None:
    answer = client.post(f"/versions/{reference}/predict", json=rows)
    assert bare(answer.json()) == expected
    assert {row["version"] for row in answer.json()} == {number}


@pytest.mark.parametrize("path", ["/predict", "/versions/2/predict", "/invocations", "/v2/models/{model}/infer"])
def test_long_key_is_rejected_by_every_protocol_in_its_own_form(
    client: TestClient, routes: app.Routes, rows: list[dict[str, Any]], contract: Contract, path: str
) -> None:
    path = path.format(model=routes.scorer.live.snapshot.release.model)
    bodies: dict[str, Any] = {"/invocations": {"dataframe_records": rows[:2]}}
    if "/v2/" in path:
        bodies[path] = open_inference.request(rows[:2], contract)
    body = bodies.get(path, rows[:2])
    assert client.post(path, json=body, headers={"X-Key": "k" * 256}).status_code == 200
    answer = client.post(path, json=body, headers={"X-Key": "k" * 257})
    assert answer.status_code == 400
    text = answer.json()["message" if path == "/invocations" else "error"]
    assert "X-Key" in text
    assert "256" in text


@pytest.mark.parametrize("reference", ["3", "nobody", "1.0", "%20", "..%2f1"])
def test_unknown_version_is_answered_with_those_that_are_served(client: TestClient, reference: str) -> None:
    answer = client.post(f"/versions/{reference}/predict", content=b"[]")
    assert answer.status_code == 404
    if reference in ("3", "nobody"):
        assert "1, 2 = challenger = champion" in answer.json()["error"]


def test_every_violation_of_every_row_is_listed(
    client: TestClient, rows: list[dict[str, Any]], invalid: dict[str, Any]
) -> None:
    sent = [rows[0], rows[1] | invalid, rows[2], rows[3] | {"no such field": 1}, "no row"]
    answer = client.post("/predict", json=sent)
    assert answer.status_code == 400
    problems = answer.json()["problems"]
    named = sorted((problem["row"], problem["field"]) for problem in problems)
    assert named == sorted([*((1, name) for name in invalid), (3, "no such field"), (4, "")])
    assert all(problem["reason"] for problem in problems)
    assert answer.json()["error"] == f"{len(problems)} values break the contract"


def test_required_field_that_is_missing_is_named(
    client: TestClient, contract: Contract, rows: list[dict[str, Any]]
) -> None:
    for column in contract.row:
        row = {name: value for name, value in rows[0].items() if name != column.name}
        answer = client.post("/predict", json=[row])
        assert answer.status_code == (400 if column.required else 200)
        if column.required:
            assert [problem["field"] for problem in answer.json()["problems"]] == [column.name]


ODD = {
    "nothing": b"",
    "no json": b"{rows",
    "no list": b'{"rows": []}',
    "null": b"null",
    "number": b"1",
    "text": b'"row"',
    "bytes": b"\xff\xfe\x00",
    "null bytes": b"\x00" * 10,
    "cut off": b'[{"a": 1',
    "nested": b"[" * 10_000,
    "nested and closed": b"[" * 150 + b"]" * 150,
    "deep objects": b'[{"a": ' * 150 + b"1" + b"}]" * 150,
    "lists": b"[[], []]",
    "nulls": b"[null, null]",
    "half a pair": rb'[{"\ud800": "\ud800"}]',
    "escapes": rb'[{"\u0000": "\u0000"}]',
    "same key twice": b'[{"a": 1, "a": 2}]',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_body_is_the_callers_mistake(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == 400
    assert answer.json()["problems"]


ODD_VALUES = ["1" + "0" * 30, "1" + "0" * 400, "1" + "0" * 6000, "1e400", "-1e400", "NaN", "Infinity", "-Infinity"]
ODD_VALUES += ["99999999999999999999", "0.1e-400", '"' + "x" * 10_000 + '"', '"\\ud800"', "[" * 100 + "]" * 100, "true"]


@pytest.mark.parametrize("value", ODD_VALUES, ids=[value[:20] + str(len(value)) for value in ODD_VALUES])
def test_odd_value_never_makes_a_server_error(client: TestClient, rows: list[dict[str, Any]], value: str) -> None:
    for name in rows[0]:
        body = json.dumps([rows[0] | {name: "HERE"}, {"unknown": 10**25}]).replace('"HERE"', value)
        answer = client.post("/predict", content=body.encode())
        assert answer.status_code == 400
        # What Python reads as NaN is no JSON, and stops callers in other languages.
        json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} in the answer"))


@pytest.mark.parametrize(
    "body", [b'"%s"' % (b"x" * 900_000), b"[[%s1]]" % (b"1," * 400_000), b'[{"%s": 1}]' % (b"x" * 900_000)]
)
def test_long_value_is_not_repeated_at_length(client: TestClient, body: bytes) -> None:
    for path in ("/predict", "/explain", "/feedback"):
        answer = client.post(path, content=body)
        assert answer.status_code == 400
        assert len(answer.content) < 5000, path


def test_too_many_rows_are_rejected(client: TestClient, rows: list[dict[str, Any]]) -> None:
    assert client.post("/predict", json=[rows[0]] * MAX_ROWS).status_code == 200
    answer = client.post("/predict", json=[rows[0]] * (MAX_ROWS + 1))
    assert answer.status_code == 413
    assert str(MAX_ROWS) in answer.json()["error"]


@pytest.mark.parametrize("body", [b" " * (MAX_BYTES + 1), (b" " * 1000 for _ in range(MAX_BYTES // 1000 + 1))])
def test_too_many_bytes_are_rejected_announced_or_not(client: TestClient, body: Any) -> None:
    answer = client.post("/predict", content=body)
    assert answer.status_code == 413
    assert str(MAX_BYTES) in answer.json()["error"]


def test_length_that_is_no_number_is_the_callers_mistake(client: TestClient) -> None:
    assert client.post("/predict", content=b"[]", headers={"content-length": "some"}).status_code < 500


def test_caller_who_hangs_up_is_not_counted_as_a_server_error(routes: app.Routes) -> None:
    def failures() -> float:
        routes.scorer.recorder.drain()
        return metrics.REQUESTS.labels(2, 500)._value.get()

    messages = iter([{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None: ...

    before = failures()
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b""}
    asyncio.run(app.ScoringMiddleware(nobody, routes)(scope, receive, send))
    assert failures() == before


def test_one_callers_bad_row_does_not_fail_another(client: TestClient, rows: list[dict[str, Any]]) -> None:
    assert client.post("/predict", json=[{"no such field": 1}]).status_code == 400
    assert client.post("/predict", json=rows[:1]).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("PUT", "/versions/1/predict")])
def test_wrong_method_is_named(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["error"]
    assert answer.headers["allow"] == "POST"


def test_ready_names_a_problem_and_is_ready_all_the_same(
    client: TestClient, routes: app.Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").json() == {"ready": True, "problem": ""}
    for name in ("sync_problem", "problem"):
        monkeypatch.setattr(routes.scorer.live, name, f"the {name}")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["problem"]) == (200, f"the {name}")


def test_service_without_a_version_is_not_ready(
    client: TestClient, routes: app.Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes.scorer.live, "_snapshot", None)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"error": "no version is loaded yet"})


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/versions"])
def test_other_paths_are_passed_on(client: TestClient, path: str) -> None:
    assert client.post(path).status_code == 418


def test_model_describes_the_current_release(client: TestClient, contract: Contract, version: Any) -> None:
    content = client.get("/model").json()
    assert content["champion"] == 2
    assert [(v["version"], v["aliases"]) for v in content["versions"]] == [(1, []), (2, ["challenger", "champion"])]
    assert content["versions"][0]["metrics"] == pytest.approx(version.details["metrics"])
    assert list(content["inputs"]) == list(contract.by_name)
    assert client.post("/predict", json=content["example"]).status_code == 200


def test_index_is_swagger_ui_over_the_docs(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "swagger-ui-bundle.js" in answer.text
    assert "./docs.json" in answer.text
    assert "<title>Ours &amp; &lt;theirs&gt;</title>" in answer.text
