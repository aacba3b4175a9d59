"""What starts a training: the requests as each service checks them, and what is said when it does not take them."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from services import TOKEN, serving
from services import Airflow as AirflowService
from services import GitHub as GitHubService
from services import GitLab as GitLabService
from services import Webhook as WebhookService
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.retraining.airflow import Airflow
from titanic_survival.toolkit.retraining.github import GitHub
from titanic_survival.toolkit.retraining.gitlab import GitLab
from titanic_survival.toolkit.retraining.request import Request, UnansweredError
from titanic_survival.toolkit.retraining.webhook import Webhook

CLAIM = "retraining.20260102T030405.000006.abcd"
REQUEST = Request.of("titanic", 3, "drift of fare is 0.4, above 0.25", ["drift above 0.25 in 7 days"], "0a1b")
#: What somebody might send who wants more than a training.
HOSTILE = 'x"}],"injected":{"a":"$(touch /tmp/x)\n`id` ${{ github.token }} ${reason} {{ 7*7 }} \x1b[2J</script>'
DISPATCHES, PIPELINES = "/repos/ada/titanic/dispatches", "/api/v4/projects/ada%2Ftitanic/trigger/pipeline"
RUNS = "/api/v2/dags/titanic/dagRuns"


def github(address: str, token: str = TOKEN, **options: Any) -> GitHub:
    return GitHub(address + DISPATCHES, token, pause=0.01, **options)


def gitlab(address: str, token: str = TOKEN, **options: Any) -> GitLab:
    return GitLab(address + PIPELINES, token, "titanic-survival", pause=0.01, **options)


def airflow(address: str, token: str = TOKEN, **options: Any) -> Airflow:
    return Airflow(address + RUNS, token, pause=0.01, **options)


def webhook(address: str, token: str = TOKEN, **options: Any) -> Webhook:
    return Webhook(address, token, pause=0.01, **options)


TRIGGERS = [(GitHubService, github), (GitLabService, gitlab), (AirflowService, airflow), (WebhookService, webhook)]


def test_github_gets_an_event_with_the_reason() -> None:
    with serving(GitHubService) as (address, service):
        started = github(address).start(REQUEST, CLAIM)
    assert f"{address}/ada/titanic/actions" in started.where
    wanted = REQUEST._asdict() | {"rules": list(REQUEST.rules), "claim": CLAIM}
    assert service.started == [{"event_type": "retrain", "client_payload": wanted}]


def test_event_of_a_project_in_a_folder() -> None:
    with serving(GitHubService) as (address, service):
        github(address, event="fraud-retrain").start(REQUEST, CLAIM)
    assert service.started[0]["event_type"] == "fraud-retrain"


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        ("https://api.github.com/repos/ada/titanic/dispatches", "https://github.com/ada/titanic/actions"),
        ("https://git.example.com/api/v3/repos/a/b/dispatches/", "https://git.example.com/a/b/actions"),
    ],
)
def test_where_runs_are_to_be_seen(address: str, pages: str) -> None:
    assert GitHub(address, TOKEN)._where == pages


@pytest.mark.parametrize("character", ["a", "\\", '"', "é", "\u2028", "😀"])
def test_largest_event_is_within_what_github_takes(character: str) -> None:
    long = 10_000 * character
    largest = Request.of(long, 10**9, long, [f"{i} {long}" for i in range(100)], long)
    with serving(GitHubService) as (address, service):
        github(address, event=100 * "e").start(largest, 100 * "c")
    [event] = service.started
    assert len(event["client_payload"]) <= 10
    # Whatever way of writing JSON a later release of the library has.
    assert len(json.dumps(event)) < 64 * 1024


def test_gitlab_starts_the_pipeline_that_trains() -> None:
    with serving(GitLabService) as (address, service):
        started = gitlab(address).start(REQUEST._replace(reason="costs $MLFLOW_TRACKING_PASSWORD"), CLAIM)
        GitLab(f"{address}{PIPELINES}?ref=production", TOKEN).start(REQUEST, CLAIM)
    assert started.where == "the pipeline is https://gitlab.example.com/ada/titanic/-/pipelines/257"
    first, second = service.started
    # A runner would put the value of the variable there.
    assert first["variables[WHY]"] == "costs MLFLOW_TRACKING_PASSWORD"
    assert (first["variables[PIPELINE]"], first["variables[PROJECT]"]) == ("train", "titanic-survival")
    assert (first["ref"], second["ref"]) == ("main", "production")
    assert TOKEN not in "".join(service.requests)


def test_airflow_starts_one_run_however_often_it_is_asked() -> None:
    with serving(AirflowService) as (address, service):
        for token in (TOKEN, "ada:a long password"):
            started = airflow(address, token).start(REQUEST, CLAIM)
    assert started.where == f"the run is {address}/dags/titanic/runs/retrain__{CLAIM}"
    [run] = service.started
    assert run["conf"]["reason"] == REQUEST.reason and run["logical_date"] is None


def test_reason_is_no_template_of_airflow() -> None:
    with serving(AirflowService) as (address, service):
        airflow(address).start(REQUEST._replace(reason="{{ 7*7 }} {% if %} {# #}", rules=("{{{ 1 }}}",)), CLAIM)
    [run] = service.started
    assert run["conf"]["reason"] == run["note"] == "{ { 7*7 }} { % if %} { # #}"
    assert run["conf"]["rules"] == ["{ { { 1 }}}"]


def test_airflow_dag_that_is_paused() -> None:
    with (
        serving(AirflowService, paused=True) as (address, service),
        pytest.raises(UserError, match=r"The DAG titanic at .* is paused: unpause it"),
    ):
        airflow(address).start(REQUEST, CLAIM)
    assert service.started == []


def test_webhook_gets_the_request_as_it_is() -> None:
    with serving(WebhookService) as (address, service):
        Webhook(address).start(REQUEST, CLAIM)
        webhook(address).start(REQUEST, CLAIM)
    first, second = service.started
    assert first["body"] == REQUEST._asdict() | {"rules": list(REQUEST.rules), "claim": CLAIM}
    assert "Authorization" not in first["headers"] and second["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert first["headers"]["Idempotency-Key"] == CLAIM


def test_template_gets_values_and_no_structure(tmp_path: Path) -> None:
    template = tmp_path / "body.json"
    content = {
        "text": "v${version}: ${reason} (${rules})",
        "n": "${version}",
        "rules": "${rules}",
        "list": [1, "${run}"],
    }
    template.write_text(json.dumps(content | {"none": None, "cost": "$5 {reason}"}))
    request = Request("titanic", 3, HOSTILE, ("one", "two"), "0a1b")
    with serving(WebhookService) as (address, service):
        webhook(address, template=template).start(request, CLAIM)
    assert service.started[0]["body"] == {
        "text": f"v3: {HOSTILE} (one, two)",
        "n": 3,
        "rules": ["one", "two"],
        "list": [1, "0a1b"],
        "none": None,
        "cost": "$5 {reason}",
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": ', "cannot be read as JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": "${token}"}', r"\$\{token\} is no placeholder; there are: \$\{model\}, \$\{version\}, \$\{reason\}"),
        ('{"a": "${größe}"}', "is no placeholder"),
        (None, "cannot be read"),
    ],
)
def test_template_with_a_mistake(tmp_path: Path, content: str | None, said: str) -> None:
    template = tmp_path / "body.json"
    if content is not None:
        template.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"RETRAIN_TEMPLATE=.*{said}"):
        Webhook("http://127.0.0.1:1", "", template)


@pytest.mark.parametrize(
    ("make", "address", "wanted"),
    [
        (GitHub, "https://github.com/ada/titanic", "https://api.github.com/repos/OWNER/REPOSITORY/dispatches"),
        (GitLab, "https://gitlab.example.com/ada/titanic", "/api/v4/projects/PROJECT/trigger/pipeline"),
        (Airflow, "https://airflow.example.com/api/v1/dags/titanic/dagRuns", "/api/v2/dags/DAG/dagRuns"),
        (Webhook, "", "RETRAIN_URL is not set"),
    ],
)
def test_address_of_another_kind(make: Any, address: str, wanted: str) -> None:
    with pytest.raises(UserError) as caught:
        make(address, TOKEN)
    assert wanted in str(caught.value) and address in str(caught.value)


@pytest.mark.parametrize(("kind", "make"), TRIGGERS)
@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_failure_names_thing_value_and_cure_and_never_the_token(
    kind: Any, make: Callable[..., Any], status: int
) -> None:
    with serving(kind) as (address, service):
        service.spoilt.append((status, {}, f"no: \x1b[2J{TOKEN} {1000 * 'x'}", 0))
        with pytest.raises(UserError) as caught:
            make(address).start(REQUEST, CLAIM)
    said = str(caught.value)
    assert f"RETRAIN_URL={address}" in said and f"started no training (status {status}: no:" in said
    assert TOKEN not in said and "\x1b" not in said and len(said) < 900
    assert said.rpartition("): ")[2].rstrip(".")
    assert len(service.requests) == 1


@pytest.mark.parametrize(("kind", "make"), TRIGGERS)
def test_busy_service_is_asked_again_within_bounds(kind: Any, make: Callable[..., Any]) -> None:
    with serving(kind) as (address, service):
        service.spoilt.extend([(429, {"Retry-After": "0"}, "", 0), (503, {}, "", 0)])
        make(address).start(REQUEST, CLAIM)
        assert len(service.started) == 1
        service.requests.clear()
        service.spoilt.extend(3 * [(429, {}, "", 0)])
        with pytest.raises(UserError, match=r"is busy or limits requests \(status 429\): try again later"):
            make(address).start(REQUEST, CLAIM)
        assert len(service.requests) == 3
        service.requests.clear()
        service.spoilt.append((403, {"Retry-After": "3600"}, "", 0))
        with pytest.raises(UserError, match="try again in 3600 s"):
            make(address).start(REQUEST, CLAIM)
        assert len(service.requests) == 1


@pytest.mark.parametrize(("kind", "make"), TRIGGERS)
@pytest.mark.parametrize("failure", ["gateway", "timeout"])
def test_request_that_may_have_arrived_is_repeated_only_where_that_is_harmless(
    kind: Any, make: Callable[..., Any], failure: str
) -> None:
    with serving(kind) as (address, service):
        service.spoilt.append((504 if failure == "gateway" else 200, {}, "{}", 0 if failure == "gateway" else 3))
        trigger = make(address, timeout=httpx.Timeout(30, read=1.5))
        if kind is AirflowService:
            trigger.start(REQUEST, CLAIM)
            assert len(service.started) == 1
            return
        with pytest.raises(UnansweredError, match="it is not known whether it started one"):
            trigger.start(REQUEST, CLAIM)
    assert len(service.requests) == 1


@pytest.mark.parametrize("make", [make for _, make in TRIGGERS])
def test_nobody_there(make: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"cannot be reached \(ConnectionRefused.*\): check the address"):
        make(f"http://127.0.0.1:{free_port()}").start(REQUEST, CLAIM)


@pytest.mark.parametrize("token", ["two\nlines", "schlüssel"])
def test_token_that_no_header_can_have(token: str) -> None:
    with serving(WebhookService) as (address, service):
        with pytest.raises(
            UserError, match="was not asked: no header can have the characters of RETRAIN_TOKEN"
        ) as caught:
            webhook(address, token).start(REQUEST, CLAIM)
        assert "lines" not in str(caught.value) and "schl" not in str(caught.value)
    assert service.started == []


def test_answer_that_cannot_be_read() -> None:
    with serving(WebhookService) as (address, service):
        service.spoilt.append((200, {"Content-Encoding": "gzip"}, "no gzip", 0))
        with pytest.raises(UnansweredError, match="DecodingError"):
            webhook(address).start(REQUEST, CLAIM)


@pytest.mark.parametrize("pause", [0.05, 0.0])
def test_answer_without_end_is_not_waited_for(pause: float) -> None:
    sent: list[int] = []

    class Endless(WebhookService):
        def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.end_headers()
            with suppress(OSError):
                for part in range(400):
                    sent.append(part)
                    self.wfile.write(b" " * (1 if pause else 1_000_000))
                    time.sleep(pause)

    with serving(Endless) as (address, service):
        began = time.monotonic()
        webhook(address, timeout=httpx.Timeout(5, read=0.5)).start(REQUEST, CLAIM)
        assert time.monotonic() - began < 5
    assert len(sent) < 100
    assert len(service.started) == 1


def test_headers_that_come_byte_by_byte_are_not_waited_for() -> None:
    class Slow(WebhookService):
        def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
            with suppress(OSError):
                for byte in b"HTTP/1.1 202 Accepted\r\nX-Slow: " + 400 * b"x":
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)

    with serving(Slow) as (address, service):
        began = time.monotonic()
        with pytest.raises(UnansweredError, match=r"not known whether it started one \(no answer \(ReadTimeout"):
            webhook(address, timeout=httpx.Timeout(5, read=0.5)).start(REQUEST, CLAIM)
        assert time.monotonic() - began < 5
    assert len(service.requests) == 1


def test_redirect_is_not_followed_with_the_token() -> None:
    with serving(WebhookService) as (address, service):
        service.spoilt.append((307, {"Location": "https://elsewhere.example.com/hook?token=abc"}, "", 0))
        with pytest.raises(UserError, match=r"final address https://elsewhere\.example\.com/hook\?token=\*\*\*"):
            webhook(address).start(REQUEST, CLAIM)
    assert service.started == []


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[str]:
    """Return the address of a server whose certificate nobody has signed."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=True).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (tmp_path / "server.crt").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with serving(WebhookService, context) as (address, _):
        yield address.replace("http://127.0.0.1", "https://localhost")


def test_certificate_of_an_own_authority(tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"certificate.*SSL_CERT_FILE"):
        webhook(tls).start(REQUEST, CLAIM)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.crt"))
    webhook(tls).start(REQUEST, CLAIM)
