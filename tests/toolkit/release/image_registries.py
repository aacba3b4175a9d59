"""Real image registries on loopback (Debian's docker-registry), faults in front of one, and a small image."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.release.image_name import ImageName
from titanic_survival.toolkit.release.image_registry import Content, ImageRegistry

#: Of the user "someone" with the password "a secret", by bcrypt.
HTPASSWD = "someone:$2b$05$abcdefghijklmnopqrstuuIAEipimVgSTxGS2VyWH9AhzRz3iJI3.\n"
OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"


@contextmanager
def docker_registry(folder: Path, **more: Any) -> Iterator[str]:
    """Run a registry that keeps its images in a folder; yield its host and port."""
    program = shutil.which("docker-registry")
    if program is None:
        assert "REQUIRE_TOOLS" not in os.environ, "docker-registry is not installed"
        pytest.skip("docker-registry is not installed")
    folder.mkdir(exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": host},
        **more,
    }
    (folder / "registry.yml").write_text(json.dumps(settings))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                httpx.get(f"http://{host}/v2/", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait(10)


class Fault:
    """What goes wrong with one request: `answer` is sent instead of the registry's, or the connection is closed."""

    def __init__(
        self, status: int = 0, body: bytes = b"", headers: dict[str, str] | None = None, *, times: int = 1
    ) -> None:
        self.status, self.body, self.headers, self.times = status, body, headers or {}, times


class Proxy:
    """Passes requests on to a registry; `faults` says what goes wrong, by method and a part of the path."""

    def __init__(self, registry: str) -> None:
        self.registry, self.host = registry, ""
        self.requests: list[tuple[str, str]] = []
        self.authorizations: list[str] = []
        self.faults: dict[tuple[str, str], Fault] = {}
        #: Changes an answer's body.
        self.lie: Callable[[str, bytes], bytes] = lambda path, body: body

    @property
    def sent(self) -> list[str]:
        """The methods and paths that were requested, without what changes from one run to the next."""
        return [f"{method} {urlsplit(path).path}" for method, path in self.requests]


@contextmanager
def proxy(registry: str) -> Iterator[Proxy]:
    """Run a proxy in front of a registry."""
    shared, upstream = Proxy(registry), httpx.Client(trust_env=False, timeout=30)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            """Print nothing."""

        def respond(self) -> None:
            shared.requests.append((self.command, self.path))
            shared.authorizations.append(self.headers.get("Authorization", ""))
            for (method, part), fault in shared.faults.items():
                if method == self.command and part in self.path and fault.times:
                    fault.times -= 1
                    self.close_connection = True
                    if not fault.status:
                        # A part of the body was read, and the connection is lost.
                        self.rfile.read(min(10, int(self.headers.get("Content-Length", 0))))
                        self.connection.close()
                        return
                    self.reply(fault.status, fault.headers, fault.body)
                    return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            headers["Host"] = shared.host
            url = f"http://{shared.registry}{self.path}"
            answer = upstream.request(self.command, url, headers=headers, content=body)
            self.reply(answer.status_code, dict(answer.headers), shared.lie(self.path, answer.content))

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "date", "connection"):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            elif "content-length" in headers:
                self.send_header("Content-Length", headers["content-length"])
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    for method in ("GET", "HEAD", "POST", "PUT"):
        setattr(Handler, f"do_{method}", Handler.respond)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shared.host = f"127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield shared
    finally:
        server.shutdown()
        server.server_close()
        upstream.close()


def packed(files: dict[str, bytes]) -> bytes:
    """Return a tar of files by their paths, with their folders."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def digest(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_image(
    image: str,
    *,
    environment: str = "serve",
    docker: bool = False,
    history: list[dict[str, Any]] | None = None,
    labels: dict[str, str] | None = None,
    platforms: tuple[str, ...] = (),
) -> str:
    """Push an image with a layer of code and one of a store, as the Dockerfile makes; return its digest.

    With `platforms` it is an index of an image for each, and of one more entry, which is docker's record of a build.
    """
    name = ImageName.parse(image)
    layers = [packed({"app/code.py": b"print()"}), packed({"app/store/release.json": b"{}", "app/store/old": b"old"})]
    steps = history or [
        {"created_by": "/bin/sh -c #(nop) COPY dir:1 in /app/code "},
        {"created_by": "/bin/sh -c #(nop) ENV A=1", "empty_layer": True},
        {"created_by": "/bin/sh -c #(nop) COPY dir:2 in /app/store "},
        {"created_by": "/bin/sh -c #(nop) LABEL model.versions=7", "empty_layer": True},
    ]
    given = {
        "org.opencontainers.image.revision": "1f0c9a2b7d11",
        "org.opencontainers.image.created": "2026-01-02T03:04:05+00:00",
        "org.opencontainers.image.title": "a title",
        "org.opencontainers.image.version": "7",
        "model.versions": "7",
    }
    layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip" if docker else f"{OCI}.layer.v1.tar+gzip"
    manifest_type = f"{DOCKER}.manifest.v2+json" if docker else f"{OCI}.manifest.v1+json"
    with ImageRegistry(name) as registry:
        entries = []
        for platform in platforms or ("amd64",):
            config = {
                "architecture": platform,
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": {
                    "User": "10001:10001",
                    "Env": ["PATH=/bin", f"IMAGE_ENVIRONMENT={environment}"],
                    "Labels": given if labels is None else labels,
                },
                "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
                "history": steps,
            }
            manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest_type, "layers": []}
            for layer in layers:
                data = gzip.compress(layer, mtime=0)
                registry.upload(digest(data), data)
                manifest["layers"].append({"mediaType": layer_type, "digest": digest(data), "size": len(data)})
            config_type = "application/vnd.docker.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
            data = json.dumps(config).encode()
            registry.upload(digest(data), data)
            manifest["config"] = {"mediaType": config_type, "digest": digest(data), "size": len(data)}
            pushed = Content.of(manifest, manifest_type)
            entry = {"mediaType": manifest_type, "digest": pushed.digest, "size": len(pushed.data)}
            entries.append(entry | {"platform": {"os": "linux", "architecture": platform}})
            registry.push_manifest(pushed, pushed.digest if platforms else name.reference)
        if platforms:
            record = entries[0] | {"platform": {"os": "unknown", "architecture": "unknown"}}
            index_type = f"{DOCKER}.manifest.list.v2+json" if docker else f"{OCI}.index.v1+json"
            value = {"schemaVersion": 2, "mediaType": index_type, "manifests": [*entries, record]}
            pushed = Content.of(value, index_type)
            registry.push_manifest(pushed, name.reference)
    return pushed.digest


def files_of(image: str, layer: int = -1) -> dict[str, tarfile.TarInfo]:
    """Return what a layer of an image has, by path."""
    name = ImageName.parse(image)
    with ImageRegistry(name) as registry:
        manifest = registry.manifest(name.reference).json()
        data = gzip.decompress(registry.blob(manifest["layers"][layer]["digest"]).data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def write_login(folder: Path, host: str, user: str = "someone", password: str = "a secret") -> None:
    """Write what `docker login` keeps."""
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
