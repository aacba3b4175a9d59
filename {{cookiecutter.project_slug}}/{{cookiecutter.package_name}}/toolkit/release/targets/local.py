"""Target `local`: a background process on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from ...common import console
from ...common.sockets import listen, listeners, url
from ...version.artifact import Artifact
from .. import instance_http
from ..instances import Instances, InstanceState
from ..store import Release, Store
from . import Deployment, Rollout, RolloutError
from .process_record import STOP_SECONDS, ProcessRecord, wait_or_kill
from .service_client import ServiceClient

START_SECONDS = 60
#: Seconds until a process that is named in the record listens.
HANDOVER_SECONDS = 50
#: Seconds to wait for another command that changes the deployment: as long as one may take.
LOCK_SECONDS = START_SECONDS + STOP_SECONDS
LOG_LINES = 15


class Local:
    """Serves the store's release in a background process, which hands its listening socket over to the next one."""

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
        self._service = ServiceClient(authorization)
        self._record = store.root.absolute() / "local.json"
        self._instances = Instances(self._record)
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
        address = url(self._address, self._port)
        with self._instances.locked("deploy", LOCK_SECONDS):
            release, record, serving = self._store.required_release(), self._current(), self._instances.serving()
            if record and self._has_current_code(record, serving) and self._service.wait_until_served(address, release):
                return Rollout(address, "the running process serves the release")
            if record is None and serving is None:
                # Fail early. What has just crashed may still be ending.
                listen(self._address, self._port, wait=2).close()
            self._replace(record, release, champion)
            self._instances.sweep()
        return Rollout(address, "checked with hold-out rows")

    def running(self) -> Deployment | None:
        """Return the process that serves, None if there is none."""
        record, serving = self._current(), self._instances.serving()
        address = serving.address if serving else self._address
        if serving:
            pid, port, started = serving.pid, serving.port, serving.started
        elif record:
            pid, port, started = record.pid, record.port, record.started
        else:
            return None
        # The process serves the store's release, which may be newer than that of its start.
        release = self._store.release() or (record.release if record else None)
        if release is None:
            return None
        found = url(address, port)
        details = {"process": str(pid), "log": str(self._log)}
        return Deployment(found, self._service.health(found), release, started, details)

    def rollback(self, champion: int) -> None:
        """Do nothing: the next `apply` runs the store's release, whose champion is this version again."""

    def absence(self) -> str:
        """Return why nothing is deployed, where that can be known, and what else listens on the port."""
        texts = []
        record = ProcessRecord.read(self._record)
        if record:
            alive = self._instances.last_alive(record.instance)
            crashed = f"crashed at {datetime.fromtimestamp(alive, UTC):%Y-%m-%d %H:%M:%S} UTC" if alive else "has ended"
            texts.append(
                f"The process that was deployed at {record.started:%Y-%m-%d %H:%M:%S} UTC ({record.pid}) {crashed}. "
                f"The end of its log, {self._log}:\n{self._log_end(0)}"
            )
        if found := listeners(self._port):
            texts.append(f"Port {self._port} is used by what make deploy did not start: {'; '.join(found)}")
        return "\n".join(texts)

    def remove(self) -> bool:
        """Stop every process of the deployment after its requests in progress, and return whether there was one."""
        with self._instances.locked("undeploy", LOCK_SECONDS):
            record, states = self._current(), self._instances.states()
            for state in states:
                self._instances.drain(state.id)
            for state in states:
                self._end(state)
            if record:
                record.stop()
            self._record.unlink(missing_ok=True)
            self._instances.sweep()
        return bool(record or states)

    def _current(self) -> ProcessRecord | None:
        """Return the record, if its process runs."""
        record = ProcessRecord.read(self._record)
        return record if record and record.process() else None

    def _has_current_code(self, record: ProcessRecord, serving: InstanceState | None) -> bool:
        """Whether a process has the present code, settings and port, so that only the release may differ."""
        same = record.port == self._port and record.fingerprint == self._fingerprint
        return same and serving is not None and serving.id == record.instance

    @staticmethod
    def _end(state: InstanceState) -> None:
        try:
            process = psutil.Process(state.pid)
            if process.create_time() < state.started.timestamp() + 2:
                process.terminate()
                wait_or_kill(process)
        except psutil.NoSuchProcess:
            pass

    def _replace(self, old: ProcessRecord | None, release: Release, champion: Artifact) -> None:
        """Start a process, have it checked, and name it in the record: then it takes over from the old one."""
        instance, log_start = self._instances.new(), self._log.stat().st_size if self._log.exists() else 0
        process = self._spawn(instance)
        try:
            self._await_ready(process, instance, champion.example.rows, log_start)
            record = ProcessRecord.of(process.pid, self._port, release, self._fingerprint, instance)
        except BaseException:
            process.terminate()
            process.wait(STOP_SECONDS)
            raise
        # From here on the new process takes over, whatever happens to this one.
        record.write(self._record)
        if old and not old.instance:
            old.stop()
        self._await_serving(process, instance, old, log_start)
        # Success is said when nothing else answers: not the process before, and none that was left waiting.
        for state in self._instances.states(but=instance):
            self._end(state)

    def _spawn(self, instance: str) -> subprocess.Popen[bytes]:
        """Start a process that serves on the target's port as soon as the record names it."""
        command = [sys.executable, "-m", self._package, "serve", "--no-pull"]
        command += ["--record", str(self._record), "--instance", instance]
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
        self, process: subprocess.Popen[bytes], instance: str, rows: list[dict[str, Any]], log_start: int
    ) -> None:
        """Wait until a process has loaded the release and scores rows; `UserError` with the end of its log if not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RolloutError(
                    "The service did not start; what ran before still runs. The end of its log:\n"
                    f"{self._log_end(log_start)}"
                )
            state = self._instances.state(instance)
            ready = state is not None and state.phase == "ready"
            if ready and instance_http.scores(self._instances.http(instance), rows, self._authorization):
                return
            time.sleep(0.1)
        raise RolloutError(
            f"The service was not ready within {START_SECONDS} s; see {self._log}.\n{self._log_end(log_start)}"
        )

    def _await_serving(
        self, process: subprocess.Popen[bytes], instance: str, old: ProcessRecord | None, log_start: int
    ) -> None:
        """Wait until the process that the record names listens; if it does not, and the old one does, name that."""
        deadline = time.monotonic() + HANDOVER_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            state = self._instances.state(instance)
            if state and state.phase == "serving":
                return
            time.sleep(0.05)
        process.terminate()
        if old and old.process():
            old.write(self._record)
        raise RolloutError(f"The service did not get the port. The end of its log:\n{self._log_end(log_start)}")

    def _log_end(self, start: int) -> str:
        """Return the last lines of the log after a position."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
