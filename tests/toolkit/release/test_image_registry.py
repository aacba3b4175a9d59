"""The client of image registries: authentication, interruptions, and registries that do not keep to the protocol."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from image_registries import HTPASSWD, Fault, Proxy, digest, docker_registry, proxy, push_image, write_login
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.release import image_registry
from titanic_survival.toolkit.release.image_credentials import Credentials, find_credentials
from titanic_survival.toolkit.release.image_name import ImageName
from titanic_survival.toolkit.release.image_registry import MANIFEST_TYPES, Content, ImageRegistry

BLOB = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a registry that everyone may use."""
    with docker_registry(tmp_path_factory.mktemp("open")) as host:
        yield host


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a registry that asks for user and password."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "htpasswd").write_text(HTPASSWD)
    with docker_registry(folder, auth={"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}) as host:
        yield host


@pytest.fixture
def front(host: str) -> Iterator[Proxy]:
    """Return a proxy in front of the open registry."""
    with proxy(host) as found:
        yield found


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the developer's credentials away; return the folder of docker's settings."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(image_registry, "PAUSES", (0.05, 0.05))
    return tmp_path / "docker"


def client(host: str, path: str = "team/name") -> ImageRegistry:
    return ImageRegistry(ImageName.parse(f"{host}/{path}:1"))


def test_blob_is_sent_once(front: Proxy, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BLOB)
    with client(front.host, "team/once") as registry:
        assert registry.upload(digest(BLOB), tmp_path / "blob") is True
        assert registry.upload(digest(BLOB), tmp_path / "blob") is False
        assert registry.blob(digest(BLOB)).data == BLOB
    assert len([line for line in front.sent if line.startswith("PUT")]) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(), Fault(503), Fault(429, headers={"Retry-After": "0"}), Fault(500, times=2)],
    ids=["lost", "503", "429", "twice"],
)
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_interrupted_upload_begins_anew(front: Proxy, tmp_path: Path, method: str, fault: Fault) -> None:
    blob = os.urandom(1 << 20)
    (tmp_path / "blob").write_bytes(blob)
    front.faults = {(method, "/blobs/"): Fault(fault.status, headers=fault.headers, times=fault.times)}
    with client(front.host, "team/again") as registry:
        assert registry.upload(digest(blob), tmp_path / "blob")
    with client(front.registry, "team/again") as registry:
        assert registry.blob(digest(blob)).data == blob


def test_registry_is_given_the_pause_that_it_asks_for(front: Proxy, host: str) -> None:
    push_image(f"{host}/team/name:1")
    front.faults = {("GET", "/manifests/"): Fault(429, headers={"Retry-After": "1"})}
    start = time.monotonic()
    with client(front.host) as registry:
        assert registry.find("1")
    assert time.monotonic() - start >= 1


def test_registry_that_is_away_is_named() -> None:
    away = f"127.0.0.1:{free_port()}"
    with (
        client(away) as registry,
        pytest.raises(UserError, match=rf"{away} did not answer 3 requests.*IMAGE_REPOSITORY"),
    ):
        registry.find("1")


def test_registry_that_keeps_failing_is_named(front: Proxy) -> None:
    front.faults = {("GET", "/manifests/"): Fault(502, times=99)}
    with client(front.host) as registry, pytest.raises(UserError, match="it answered 502"):
        registry.find("1")
    assert len(front.requests) == 3


def test_content_with_another_digest_is_rejected(front: Proxy, host: str) -> None:
    pushed = push_image(f"{host}/team/lies:1")
    with client(front.host, "team/lies") as registry:
        config = registry.manifest("1").json()["config"]["digest"]
        front.lie = lambda path, body: body.replace(b"10001", b"00000") if "/blobs/" in path else body
        with pytest.raises(UserError, match=rf"content with digest sha256:.* instead of {config}"):
            registry.blob(config)
        front.lie = lambda path, body: body.replace(b"schemaVersion", b"SchemaVersion")
        for reference in ("1", pushed):
            with pytest.raises(UserError, match=rf"content with digest sha256:.* instead of {pushed}"):
                registry.manifest(reference)


def test_endless_content_is_not_read(front: Proxy, host: str) -> None:
    push_image(f"{host}/team/name:1")
    front.lie = lambda path, body: body + bytes(image_registry.MAXIMUM_BYTES)
    with client(front.host) as registry, pytest.raises(UserError, match="sent more than 4 MB"):
        registry.manifest("1")


def test_manifest_that_is_stored_otherwise_is_an_error(front: Proxy, host: str) -> None:
    push_image(f"{host}/team/other:1")
    wrong = {"Docker-Content-Digest": "sha256:" + 64 * "0"}
    front.faults = {("PUT", "/manifests/"): Fault(201, headers=wrong)}
    with client(front.host, "team/other") as registry:
        manifest = registry.manifest("1")
        with pytest.raises(UserError, match=rf"stored sha256:0+ instead of {manifest.digest}"):
            registry.push_manifest(manifest, "2")
        # One that says nothing, and has nothing.
        front.faults = {("PUT", "/manifests/"): Fault(201)}
        with pytest.raises(UserError, match="instead of"):
            registry.push_manifest(Content(manifest.data + b" ", manifest.media_type), "3")


def test_manifest_without_its_blobs_has_the_registrys_reason(host: str) -> None:
    layer = {"mediaType": "application/json", "digest": "sha256:" + 64 * "1", "size": 1}
    value = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "config": layer, "layers": []}
    with client(host) as registry, pytest.raises(UserError, match=r"400 .*MANIFEST_BLOB_UNKNOWN"):
        registry.push_manifest(Content.of(value, MANIFEST_TYPES[0]), "1")


def test_user_and_password_are_those_of_docker_login(closed: str, login: Path) -> None:
    write_login(login, closed)
    push_image(f"{closed}/team/name:1")
    with client(closed) as registry:
        assert registry.find("1")


def test_registry_that_wants_credentials_names_the_command(closed: str) -> None:
    with client(closed) as registry, pytest.raises(UserError, match=rf"wants credentials .*docker login {closed}"):
        registry.find("1")


def test_wrong_password_names_the_user_and_not_the_password(closed: str, login: Path) -> None:
    write_login(login, closed, password="hidden")
    with client(closed) as registry:
        with pytest.raises(UserError, match=r"does not let the user 'someone' read .*401") as raised:
            registry.find("1")
        assert "hidden" not in repr(raised.value) + repr(registry._auth.credentials)


def test_forbidden_push_has_the_registrys_reason(front: Proxy) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "requested access is denied"}]}).encode()
    front.faults = {("POST", "/uploads/"): Fault(403, body)}
    with client(front.host) as registry, pytest.raises(UserError, match=r"write to .*403: DENIED, requested access"):
        registry.upload(digest(b"denied"), b"denied")


def test_other_servers_get_no_credentials(closed: str, login: Path, front: Proxy) -> None:
    """A registry may keep blobs elsewhere: that server's answer is verified, and gets no password."""
    write_login(login, closed)
    push_image(f"{closed}/team/name:1")
    with proxy(closed) as moved:
        write_login(login, moved.host)
        with client(moved.host) as registry:
            config = registry.manifest("1").json()["config"]["digest"]
            elsewhere = {"Location": f"http://{front.host}/v2/team/name/blobs/{config}"}
            front.lie = lambda path, body: b"{}"
            moved.faults = {("GET", "/blobs/"): Fault(307, headers=elsewhere)}
            front.faults = {("GET", "/blobs/"): Fault(200, b"{}")}
            with pytest.raises(UserError, match="content with digest"):
                registry.blob(config)
    assert front.requests
    assert front.authorizations == [""]
    assert any(moved.authorizations)


class TokenService:
    """Signs tokens for a registry, as those of Docker Hub, GitHub and GitLab do."""

    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.file = folder / "root.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        #: For how many seconds a token is valid.
        self.seconds = 60
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: Any) -> None:
                """Print nothing."""

            def respond(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                words = parse_qs(self.rfile.read(length).decode() or urlsplit(self.path).query)
                service.asked.append((self.command, words, self.headers.get("Authorization", "")))
                basic = "Basic " + base64.b64encode(b"someone:a secret").decode()
                known = self.headers.get("Authorization") == basic or words.get("refresh_token") == ["an identity"]
                body = json.dumps({"token": service.token(words)} if known else {"details": "who?"}).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        for method in ("GET", "POST"):
            setattr(Handler, f"do_{method}", Handler.respond)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.realm = f"http://127.0.0.1:{self.server.server_port}/token"

    def token(self, words: dict[str, list[str]]) -> str:
        """Return a token for what is asked."""
        kind, name, actions = words["scope"][0].split(":")
        now = int(time.time())
        chain = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        claims = {
            **{"iss": "tokens", "sub": "someone", "aud": words["service"][0], "jti": "1"},
            **{"iat": now - 5, "nbf": now - 5, "exp": now + self.seconds},
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        parts = [json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [chain]}).encode(), json.dumps(claims).encode()]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenService]:
    service = TokenService(tmp_path)
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def guarded(tmp_path: Path, tokens: TokenService) -> Iterator[str]:
    """Return the address of a registry that accepts the tokens of a service."""
    auth = {"realm": tokens.realm, "service": "images", "issuer": "tokens", "rootcertbundle": str(tokens.file)}
    with docker_registry(tmp_path / "guarded", auth={"token": auth}) as host:
        yield host


def test_token_is_for_reading_and_writing_the_repository(guarded: str, tokens: TokenService, login: Path) -> None:
    write_login(login, guarded)
    push_image(f"{guarded}/team/name:1")
    method, words, authorization = tokens.asked[0]
    assert (method, words["scope"]) == ("GET", ["repository:team/name:pull,push"])
    assert authorization.startswith("Basic ")
    assert len(tokens.asked) == 1  # used for all requests


def test_expired_token_is_renewed(guarded: str, tokens: TokenService, login: Path) -> None:
    write_login(login, guarded)
    tokens.seconds = -120  # docker-registry grants a minute
    with client(guarded) as registry:
        with pytest.raises(UserError, match="401"):
            registry.find("1")
        tokens.seconds = 60
        assert registry.find("1") is None
    assert len(tokens.asked) == 2


def test_identity_token_is_exchanged(guarded: str, tokens: TokenService, login: Path) -> None:
    login.mkdir()
    (login / "config.json").write_text(json.dumps({"auths": {guarded: {"identitytoken": "an identity"}}}))
    push_image(f"{guarded}/team/name:1")
    assert tokens.asked[0][0] == "POST"


def test_user_without_rights_is_named(guarded: str, login: Path) -> None:
    write_login(login, guarded, user="stranger")
    with client(guarded) as registry, pytest.raises(UserError, match="does not let the user 'stranger' read"):
        registry.find("1")


def test_password_goes_to_no_token_service_without_https(front: Proxy) -> None:
    image = ImageName.parse("registry.example.com/team/name")
    registry = ImageRegistry(image)
    with pytest.raises(UserError, match=r"names a token service without https: tokens\.example\.com"):
        list(registry._auth._exchange({"realm": "http://tokens.example.com/"}))


IMAGE = ImageName.parse("registry.example.com/team/name:1")


@pytest.mark.parametrize(
    "key", ["registry.example.com", "https://registry.example.com/v1/", "registry.example.com/team"]
)
def test_credentials_are_found_as_docker_and_podman_write_them(login: Path, key: str) -> None:
    login.mkdir()
    text = base64.b64encode(b"someone:with:colons").decode()
    (login / "config.json").write_text(json.dumps({"auths": {"other.example.com": {"auth": "x"}, key: {"auth": text}}}))
    assert find_credentials(IMAGE) == Credentials("someone", "with:colons")
    assert find_credentials(ImageName.parse("elsewhere.example.com/name")) is None


def test_podmans_login_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run/containers").mkdir(parents=True)
    text = base64.b64encode(b"someone:a secret").decode()
    file = tmp_path / "run/containers/auth.json"
    file.write_text(json.dumps({"auths": {"registry.example.com": {"auth": text}}}))
    assert find_credentials(IMAGE) == Credentials("someone", "a secret")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "explicit.json"))
    (tmp_path / "explicit.json").write_text(file.read_text().replace(text, base64.b64encode(b"other:x").decode()))
    assert find_credentials(IMAGE) == Credentials("other", "x")


@pytest.mark.parametrize("settings", [{"credHelpers": {"registry.example.com": "test"}}, {"credsStore": "test"}])
def test_credential_helper_is_asked(
    login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    login.mkdir()
    (login / "config.json").write_text(json.dumps(settings))
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread server\necho "{\\"Username\\": \\"AWS\\", \\"Secret\\": \\"$1 $server\\"}"\n')
    helper.chmod(0o755)
    with pytest.raises(UserError, match=r"docker-credential-test has the credentials of .* and does not run"):
        find_credentials(IMAGE)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_credentials(IMAGE) == Credentials("AWS", "get registry.example.com")
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    assert find_credentials(IMAGE) is None
    helper.write_text("#!/bin/sh\necho no session >&2\nexit 1\n")
    with pytest.raises(UserError, match="no session"):
        find_credentials(IMAGE)


def test_broken_login_names_its_file(login: Path) -> None:
    login.mkdir()
    (login / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"docker/config\.json cannot be read as the credentials"):
        find_credentials(IMAGE)


@pytest.mark.parametrize(
    ("name", "registry", "path", "reference", "address"),
    [
        ("name", "docker.io", "library/name", "latest", "https://registry-1.docker.io"),
        ("team/name:1", "docker.io", "team/name", "1", "https://registry-1.docker.io"),
        ("localhost:5000/name:1", "localhost:5000", "name", "1", "http://localhost:5000"),
        ("k3d.localhost:5000/name:1", "k3d.localhost:5000", "name", "1", "http://k3d.localhost:5000"),
        (f"r.example.com/a/b/c@sha256:{64 * 'a'}", "r.example.com", "a/b/c", f"sha256:{64 * 'a'}", ""),
        (f"r.example.com:443/a:2@sha256:{64 * 'a'}", "r.example.com:443", "a", f"sha256:{64 * 'a'}", ""),
    ],
)
def test_name_is_read_as_engines_read_it(name: str, registry: str, path: str, reference: str, address: str) -> None:
    found = ImageName.parse(name)
    assert found[1:] == (registry, path, reference)
    assert found.address == (address or f"https://{registry}")


@pytest.mark.parametrize("name", ["", "UPPER/case", "a b", "https://r.example.com/name", "r.example.com/name@sha256:1"])
def test_what_is_no_name_is_named(name: str) -> None:
    with pytest.raises(UserError, match="names no image"):
        ImageName.parse(name)
