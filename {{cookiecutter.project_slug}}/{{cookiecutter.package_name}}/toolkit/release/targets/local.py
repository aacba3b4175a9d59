"""Target `local`: a background process on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from ...common import console
from ...common.sockets import free_port, listen, url
from ...version.artifact import Artifact
from ..store import Release, Store
from . import Deployment, Rollout, RolloutError
from .process_record import STOP_SECONDS, ProcessRecord

START_SECONDS = 60
#: The service checks the store every second, then loads and verifies new versions.
FOLLOW_SECONDS = 20
LOG_LINES = 15


class Local:
    """Serves the store's release in a background process, which is replaced without downtime."""

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
        self._root, self._package, self._store = root, package, store
        self._address, self._port = address, port
        self._fingerprint, self._authorization = fingerprint, authorization
        self._record = store.root / "local.json"
        self._log = store.root / "local.log"

    def plan(self, release: Release) -> bool:
        """Print which versions would change, and return whether any would."""
        running = self.running()
        if running and release.same_as(running.release):
            return False
        console.table(
            ["", "now", "after deploy"],
            [
                ["champion", str(running.release.champion) if running else "-", str(release.champion)],
                ["versions", running.release.summary() if running else "-", release.summary()],
            ],
        )
        return True

    @property
    def place(self) -> str:
        """This machine, and the port."""
        return f"{socket.gethostname()}:{self._port}"

    def apply(self, champion: Artifact) -> Rollout:
        """Let the running process load the release, or replace it by a process that has answered the example."""
        release, old = self._store.required_release(), ProcessRecord.read(self._record)
        address = url(self._address, self._port)
        if old and self._has_current_code(old) and self._wait_until_served(release):
            return Rollout(address, "the running process serves the release")
        if old is None or old.port != self._port:
            # The new process shares its port with any other that does so too: check first that it is free.
            listen(self._address, self._port).close()
        new = self._start(champion)
        ProcessRecord.of(new.pid, self._port, release, self._fingerprint).write(self._record)
        if old:
            old.stop()
        return Rollout(address, "checked with hold-out rows")

    def running(self) -> Deployment | None:
        """Return the process that serves, None if there is none."""
        record = ProcessRecord.read(self._record)
        if record is None:
            return None
        address = url(self._address, record.port)
        details = {"process": str(record.pid), "log": str(self._log)}
        # The process serves the store's release, which may be newer than that of its start.
        release = self._store.release() or record.release
        return Deployment(address, self._health(address), release, record.started, details)

    def rollback(self, champion: int) -> None:
        """Do nothing: the next `apply` runs the store's release, whose champion is this version again."""

    def remove(self) -> bool:
        """Stop the process after the requests in progress, and return whether there was one."""
        record = ProcessRecord.read(self._record)
        if record:
            record.stop()
        self._record.unlink(missing_ok=True)
        return record is not None

    def _has_current_code(self, record: ProcessRecord) -> bool:
        """Whether a process has the present code, settings and port, so that only the release may differ."""
        return record.port == self._port and record.fingerprint == self._fingerprint

    def _wait_until_served(self, release: Release) -> bool:
        """Wait until the running process serves a release; False if it fails to."""
        deadline = time.monotonic() + FOLLOW_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._request(f"{url(self._address, self._port)}/model").json()
            except (requests.RequestException, ValueError):
                return False
            if answer.get("problem") or "released" not in answer:
                return False
            if datetime.fromisoformat(answer["released"]) == release.created:
                return True
            time.sleep(0.1)
        return False

    def _start(self, champion: Artifact) -> subprocess.Popen[bytes]:
        """Start a process and return it when it answers the champion's example; it is stopped if it does not."""
        probe, log_start = free_port(), self._log.stat().st_size if self._log.exists() else 0
        process = self._spawn(probe)
        try:
            self._await_ready(process, probe, champion.example.rows, log_start)
        except BaseException:
            process.terminate()
            process.wait(STOP_SECONDS)
            raise
        return process

    def _spawn(self, probe: int) -> subprocess.Popen[bytes]:
        """Start a process that serves on the target's port and on a probe port of its own."""
        command = [
            sys.executable,
            "-m",
            self._package,
            "serve",
            "--no-pull",
            "--share-port",
            "--probe-port",
            str(probe),
        ]
        settings = {"PORT": str(self._port), "BIND_ADDRESS": self._address, "STORE": str(self._store.root)}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._root,
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(
        self, process: subprocess.Popen[bytes], probe: int, rows: list[dict[str, Any]], log_start: int
    ) -> None:
        """Wait until a process answers rows at its probe port; `UserError` with the end of its log if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RolloutError(
                    "The service did not start; what ran before still runs. The end of its log:\n"
                    f"{self._log_end(log_start)}"
                )
            try:
                answer = self._request(f"http://127.0.0.1:{probe}/predict", rows)
                if answer.ok and len(answer.json()) == len(rows):
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise RolloutError(
            f"The service was not ready within {START_SECONDS} s; see {self._log}.\n{self._log_end(log_start)}"
        )

    def _health(self, address: str) -> str:
        """Return the health of the service at an address in a few words."""
        try:
            ready, model = self._request(f"{address}/readyz"), self._request(f"{address}/model")
            content = model.json()
        except requests.RequestException as error:
            return f"does not answer ({type(error).__name__})"
        health = "ready" if ready.ok else f"not ready ({ready.status_code})"
        if not model.ok:
            return f"{health}, but GET /model failed ({model.status_code}: {content.get('error')})"
        return f"serves an earlier release: {content['problem']}" if content.get("problem") else health

    def _request(self, url: str, rows: list[dict[str, Any]] | None = None) -> requests.Response:
        """Return the service's response: to a POST of rows, if given, otherwise to a GET."""

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if self._authorization:
                request.headers["Authorization"] = self._authorization
            return request

        # By a function, since requests would replace a plain header by credentials of ~/.netrc for this host.
        return requests.request("GET" if rows is None else "POST", url, json=rows, timeout=5, auth=authorize)

    def _log_end(self, start: int) -> str:
        """Return the last lines of the log after a position."""
        with self._log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
