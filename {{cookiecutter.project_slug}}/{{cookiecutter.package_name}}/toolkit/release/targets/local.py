"""Target `local`: a background process on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests
from pydantic import BaseModel, ValidationError

from ...common.errors import UserError
from ...common.sockets import free_port, listen, url
from ...version.artifact import Artifact
from ..store import Release, Store
from . import Running

START_SECONDS, STOP_SECONDS = 60, 40
#: The service looks at the store each second, then loads and proves what is new.
FOLLOW_SECONDS = 20


class Deployment(BaseModel):
    """The process that serves, as noted in the store."""

    pid: int
    #: When the process began, by the system's clock: a number that is used again belongs to another process.
    began: float
    port: int
    release: Release
    started: datetime
    #: What the process was made from, code and settings; another needs another process.
    fingerprint: str = ""

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.began) < 2 and process.status() != psutil.STATUS_ZOMBIE
            return process if alive else None
        except psutil.NoSuchProcess:
            return None


class Local:
    """Serves the store's release in a background process, replaced without a gap."""

    def __init__(
        self,
        root: Path,
        package: str,
        store: Store,
        address: str,
        port: int,
        fingerprint: str,
        authorization: str = "",
    ) -> None:
        self._fingerprint, self._authorization = fingerprint, authorization
        self._root, self._package, self._store = root, package, store
        self._address, self._port = address, port
        self._note = store.root / "local.json"
        self._log = store.root / "local.log"

    def apply(self, champion: Artifact) -> str:
        """Have the running process follow, or replace it by one that is proven on a port of its own first."""
        old = self._deployment()
        release = self._store.release()
        assert release is not None
        if old and old.port == self._port and old.fingerprint == self._fingerprint and self._followed(release):
            return url(self._address, self._port)
        if old is None or old.port != self._port:
            # A port that others may share would be shared with any program: look before joining it.
            listen(self._address, self._port).close()
        probe = free_port()
        command = [sys.executable, "-m", self._package, "serve", "--no-pull", "--beside", "--probe-port", str(probe)]
        environment = os.environ | {
            "PORT": str(self._port),
            "BIND_ADDRESS": self._address,
            "STORE": str(self._store.root),
        }
        with self._log.open("ab") as log:
            start = log.tell()
            new = subprocess.Popen(
                command,
                cwd=self._root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_ready(new, probe, champion, start)
        except BaseException:
            new.terminate()
            new.wait(STOP_SECONDS)
            raise
        deployment = Deployment(
            pid=new.pid,
            began=psutil.Process(new.pid).create_time(),
            port=self._port,
            release=release,
            started=datetime.now(UTC),
            fingerprint=self._fingerprint,
        )
        self._note.write_text(deployment.model_dump_json(indent=1))
        if old:
            _stop(old)
        return url(self._address, self._port)

    def running(self) -> Running | None:
        """Return the process that serves, None if none does."""
        deployment = self._deployment()
        if deployment is None:
            return None
        address = url(self._address, deployment.port)
        try:
            answer = self._ask(f"{address}/readyz")
            health = "ready" if answer.ok else f"not ready ({answer.status_code})"
            model = self._ask(f"{address}/model")
            if not model.ok:
                health += f", and does not say what it serves ({model.status_code}: {model.json().get('error')})"
            elif problem := model.json().get("problem"):
                health = f"serves an earlier release: {problem}"
        except requests.RequestException as error:
            health = f"does not answer ({type(error).__name__})"
        details = {"process": str(deployment.pid), "log": str(self._log)}
        # The process follows the store, so that is what it serves, unless it says that it cannot.
        release = self._store.release() or deployment.release
        return Running(address, health, release, deployment.started, details)

    def remove(self) -> bool:
        """Stop the process; requests under way are finished."""
        deployment = self._deployment()
        if deployment:
            _stop(deployment)
        self._note.unlink(missing_ok=True)
        return deployment is not None

    def _followed(self, release: Release) -> bool:
        """Wait for the running process to serve a release by itself, and return whether it does."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._ask(f"{url(self._address, self._port)}/model").json()
            except (requests.RequestException, ValueError):
                return False
            if answer.get("problem") or "released" not in answer:
                return False
            if datetime.fromisoformat(answer["released"]) == release.created:
                return True
            time.sleep(0.1)
        return False

    def _deployment(self) -> Deployment | None:
        try:
            deployment = Deployment.model_validate_json(self._note.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return deployment if deployment.process() else None

    def _await_ready(self, process: subprocess.Popen[bytes], probe: int, champion: Artifact, start: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise UserError(
                    f"The service did not start; what it ran before still runs. Its last words:\n{self._tail(start)}"
                )
            try:
                answer = self._ask(f"http://127.0.0.1:{probe}/predict", champion.example.rows)
                if answer.ok and len(answer.json()) == len(champion.example.rows):
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise UserError(f"The service was not ready within {START_SECONDS} s; see {self._log}.\n{self._tail(start)}")

    def _ask(self, url: str, rows: list[dict[str, Any]] | None = None) -> requests.Response:
        """Return what the service answers, to rows if there are some."""

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if self._authorization:
                request.headers["Authorization"] = self._authorization
            return request

        # Signed by hand: a header alone would be replaced by what ~/.netrc may have for this host.
        return requests.request("GET" if rows is None else "POST", url, json=rows, timeout=5, auth=sign)

    def _tail(self, start: int) -> str:
        with self._log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-15:])


def _stop(deployment: Deployment) -> None:
    process = deployment.process()
    if process is None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
