"""Authentication: the middleware in front of the service, wherever that is mounted, and how it is documented."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from titanic_survival import config, deploy
from titanic_survival.shared import access, targets
from titanic_survival.toolkit.common.errors import RejectedError, UserError
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.release.targets import Rollout
from titanic_survival.toolkit.serving.auth.policy import AccessPolicy
from titanic_survival.toolkit.serving.auth.tokens import TokenAuthenticator

TOKEN = secrets.token_urlsafe(32)
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
PROBES = ["/livez", "/readyz", "/healthz", "/ping", "/health", "/v2/health/live", "/v2/health/ready", "/metrics"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture(scope="module", params=["before BentoML's layers", "in a Bento"])
def client(
    served: Path, file: Path, service_with: Callable[..., Any], request: pytest.FixtureRequest
) -> Iterator[TestClient]:
    """Return a client of the service with AUTH=token, as `serve` runs it and as `bentoml serve` does."""
    with service_with(STORE=served, LOG_FOLDER=file.parent, AUTH="token", TOKENS=file) as service:
        app = service.Service.to_asgi() if request.param == "in a Bento" else service.application()
        with TestClient(app) as client:
            yield client


class YesAuthenticator:
    """Authorizes whoever sends yes, and counts its checks."""

    description, curl_option, problem = "Callers need to say yes.", "-H yes", ""
    statuses: tuple[int, ...] = (401, 403, 503)

    def __init__(self) -> None:
        self.checks, self.schemes = 0, {"basic": "a word"}

    def load(self) -> None:
        """Need nothing."""

    async def verify(self, authorization: bytes) -> None:
        """Raise with the status that was sent."""
        self.checks += 1
        if authorization != b"yes":
            raise RejectedError(int(authorization or 401), "no")


async def everything(scope: Any, receive: Any, send: Any) -> None:
    """Answer whatever comes."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "welcome"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"welcome"})


def test_every_route_but_probes_and_metrics_needs_a_token(client: TestClient) -> None:
    protected = ["/", "/docs.json", "/static_content/swagger-ui.css", "/model", "/version", "/v2", "/v2/models/x", "/a"]
    protected += ["/predict", "/versions/1/predict", "/explain", "/invocations", "/v2/models/x/infer", "/feedback"]
    protected += ["//livez", "/livez/", "/livez/../predict", "/metricsx", "/v2/health/x", "/LIVEZ"]
    for path in protected:
        for method in ("GET", "POST", "OPTIONS"):
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.json()["error"]
    for path in PROBES:
        assert client.get(path).status_code == 200, path


def test_token_authorizes_every_route(client: TestClient, rows: list[dict[str, Any]]) -> None:
    assert client.post("/predict", json=rows[:2], headers=AUTHORIZED).status_code == 200
    assert client.post("/versions/1/predict", json=rows[:2], headers=AUTHORIZED).status_code == 200
    for path in ("/", "/docs.json", "/model", "/static_content/swagger-ui.css"):
        assert client.get(path, headers=AUTHORIZED).status_code == 200, path
    # A browser asks for user and password by itself: the page needs no place of its own to type a token in.
    assert client.get("/", auth=("", TOKEN)).status_code == 200
    assert client.get("/nowhere", headers=AUTHORIZED).status_code == 404


def test_challenge_names_the_schemes_of_credentials(client: TestClient) -> None:
    challenges = client.get("/model").headers.get_list("www-authenticate")
    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]


def test_body_of_a_rejected_request_is_not_read(client: TestClient) -> None:
    assert client.post("/predict", content=b"no rows").status_code == 401
    assert client.post("/predict", content=b"no rows", headers=AUTHORIZED).status_code == 400


def test_rejected_requests_are_counted_by_reason() -> None:
    app = AccessPolicy(YesAuthenticator()).protect(everything)
    reasons = {401: "credentials", 403: "permission", 503: "unverified"}

    def counted() -> list[float]:
        return [metrics.REJECTED_REQUESTS.labels(code, reason)._value.get() for code, reason in reasons.items()]

    before = counted()
    for status in reasons:
        answer = TestClient(app).get("/", headers={"Authorization": str(status)})
        assert (answer.status_code, answer.json()) == (status, {"error": "no"})
        assert ("www-authenticate" in answer.headers) is (status == 401)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 1]


def test_request_that_passes_the_middleware_twice_is_checked_once() -> None:
    authenticator = YesAuthenticator()
    policy = AccessPolicy(authenticator)
    client = TestClient(policy.protect(policy.protect(everything)))
    assert client.get("/", headers={"Authorization": "yes"}).text == "welcome"
    assert authenticator.checks == 1
    assert client.get("/").status_code == 401
    assert authenticator.checks == 2


def test_websocket_needs_credentials_even_at_an_exempt_path() -> None:
    client = TestClient(AccessPolicy(YesAuthenticator(), "/livez").protect(everything))
    for path in ("/", "/livez"):
        with pytest.raises(WebSocketDisconnect) as raised, client.websocket_connect(path):
            pass
        assert raised.value.code == 1008
        with client.websocket_connect(path, headers={"Authorization": "yes"}) as socket:
            assert socket.receive_text() == "welcome"


def test_exempt_paths_are_those_of_the_setting() -> None:
    client = TestClient(AccessPolicy(YesAuthenticator(), "/livez, /docs/*").protect(everything))
    paths = ("/livez", "/docs/a/b", "/", "/readyz", "/docs", "/metrics")
    assert [path for path in paths if client.get(path).is_success] == ["/livez", "/docs/a/b"]
    with pytest.raises(UserError, match="/livez"):
        AccessPolicy(YesAuthenticator(), "livez")


def test_without_authentication_there_is_no_middleware() -> None:
    assert AccessPolicy(None, "/livez").protect(everything) is everything


def test_document_has_the_security_of_each_operation(client: TestClient) -> None:
    document = client.get("/docs.json", headers=AUTHORIZED).json()
    schemes = document["components"]["securitySchemes"]
    assert {scheme["scheme"] for scheme in schemes.values()} == {"basic", "bearer"}
    assert document["security"] == [{"basic": []}, {"bearer": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            exempt = path in PROBES
            assert ("401" in operation["responses"]) is not exempt, path
            assert (operation.get("security") == []) is exempt, path
            assert "403" not in operation["responses"]
    answers = document["paths"]["/invocations"]["post"]["responses"]
    assert "400" in answers
    assert answers["401"]["headers"]["WWW-Authenticate"]["required"]
    assert len(answers["503"]["content"]["application/json"]["schema"]["anyOf"]) == 2, "in the protocol's form or ours"


def test_document_has_no_security_without_authentication() -> None:
    document: dict[str, Any] = {"paths": {"/predict": {"post": {"responses": {}}}}, "components": {}}
    assert AccessPolicy(None).add_to_openapi(document) == document


def test_each_status_is_described_once() -> None:
    responses = {200: {}, 401: {}, "503": {}}
    document = {"paths": {"/own": {"post": {"responses": responses}}}, "components": {}}
    described = AccessPolicy(YesAuthenticator()).add_to_openapi(document)["paths"]["/own"]["post"]["responses"]
    assert list(described) == ["200", "401", "503", "403"]
    assert described["503"]["content"] == described["401"]["content"]


@pytest.mark.parametrize(
    ("address", "warning"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True)],
)
def test_missing_authentication_is_a_warning_where_other_machines_may_call(address: str, warning: bool) -> None:
    sentence, style = AccessPolicy(None).describe(address)
    assert "AUTH=none" in sentence
    assert (style != "", "any machine" in sentence) == (warning, warning)
    assert AccessPolicy(YesAuthenticator()).describe(address) == (YesAuthenticator.description, "")


class Target:
    """A target that starts nothing."""

    place = "nowhere"

    def apply(self, champion: Any) -> Rollout:
        """Start nothing."""
        return Rollout("http://host", "nothing was started")


def test_deploy_says_which_credentials_callers_need_and_prints_no_secret(
    project: config.Settings, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: Target())
    deploy.run(project.model_copy(update={"auth": "token", "tokens": file}))
    output = capsys.readouterr().out
    assert f"Callers need a token of {file} (AUTH=token)" in output
    assert '-H "Authorization: Bearer $TOKEN"' in output
    assert TOKEN not in output


def test_deploy_without_tokens_starts_nothing(project: config.Settings, tmp_path: Path) -> None:
    Store(project.store).write(None)
    with pytest.raises(UserError, match="No such file"):
        deploy.run(project.model_copy(update={"auth": "token", "tokens": tmp_path / "tokens"}))
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is sqlite"):
        deploy.run(project.model_copy(update={"auth": "mlflow"}))
    assert Store(project.store).release() is None


def test_deployer_whose_own_credentials_would_be_rejected_is_told_so(file: Path) -> None:
    authenticator = TokenAuthenticator(file)
    authenticator.load()
    access.check_authorized(AccessPolicy(authenticator), f"Bearer {TOKEN}")
    with pytest.raises(UserError, match="credentials of this command"):
        access.check_authorized(AccessPolicy(authenticator), "")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9"):
        settings = config.Settings(auth="mlflow", mlflow_tracking_uri="http://127.0.0.1:9")
        access.check_authorized(access.access_policy(settings), "")


def test_own_commands_call_with_the_first_token_or_as_the_user_of_mlflow(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def header(**values: Any) -> str:
        return access.authorization(config.Settings(**values))

    monkeypatch.setenv("HOME", str(tmp_path))
    assert header() == header(auth="mlflow") == header(auth="token", tokens=tmp_path / "none") == ""
    assert header(auth="token", tokens=file) == f"Bearer {TOKEN}"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    assert header(auth="mlflow") == "Bearer abc"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    assert header(auth="mlflow") == "Basic cmVhZGVyOnB3"
    assert header() == ""
