"""Target `docker`: a container on this machine, run by docker or podman, from the image that has the release."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ...common import console
from ...common.errors import UserError
from ...common.sockets import listen, listeners, url
from ...version.artifact import Artifact
from .. import instance_http
from ..container_engine import Engine, Image
from ..containers import Containers, owned_folder
from ..instances import Instances
from ..store import Release, Store
from . import Deployment, Rollout, RolloutError
from .container_record import ContainerRecord, earlier
from .process_record import STOP_SECONDS
from .service_client import ServiceClient

#: Seconds within which a container has loaded the release, and, once named, listens.
START_SECONDS, HANDOVER_SECONDS = 90, 50
LOCK_SECONDS = START_SECONDS + STOP_SECONDS
#: Where the container has the folder of the deployment, and that of its logs.
DEPLOYMENT, LOG = "/deployment", "/log"


class Service(NamedTuple):
    """What a container of the service is started with."""

    name: str
    address: str
    port: int
    #: Environment variables, secrets among them.
    environment: Mapping[str, str]
    #: Files and folders, as the engine's option --volume has them.
    mounts: tuple[str, ...] = ()
    authorization: str = ""


class Docker:
    """Runs the service in a container, which hands its listening socket over to the next one."""

    def __init__(
        self,
        store: Store,
        service: Service,
        engine: Engine,
        *,
        image: Callable[[], Image],
        image_name: Callable[[Release], str],
        log_folder: Path,
    ) -> None:
        self._store, self._service, self._image, self._image_name = store, service, image, image_name
        self._folder, self._log_folder = store.root.absolute() / "docker", log_folder
        self._record = self._folder / "docker.json"
        self._instances = Instances(self._record)
        self._containers = Containers(engine, self._folder)
        self._engine, self._client = engine, ServiceClient(service.authorization)

    def plan(self, release: Release) -> bool:
        """Print which image and versions would change, and return whether any would."""
        running, record = self.running(), ContainerRecord.read(self._record)
        image = self._image_name(release)
        if running and record and release.same_as(running.release) and record.image == image:
            return False
        console.table(
            ["", "now", "after deploy"],
            [
                ["image", record.image if running and record else "-", image],
                ["versions", running.release.summary() if running else "-", release.summary()],
            ],
        )
        return True

    @property
    def place(self) -> str:
        """This machine, and the port."""
        return f"{socket.gethostname()}:{self._service.port}"

    def apply(self, champion: Artifact) -> Rollout:
        """Run the image in a container, which has answered the example before it takes over from the one before."""
        owned_folder(self._folder)
        with self._instances.locked("deploy", LOCK_SECONDS):
            image = self._image()
            return self._deploy(image, self._store.required_release(), champion)

    def rollback(self, champion: int) -> Release | None:
        """Run the image that was deployed last with this champion; None if nothing is deployed."""
        owned_folder(self._folder)
        with self._instances.locked("rollback", LOCK_SECONDS):
            record = ContainerRecord.read(self._record)
            if record is None:
                return None
            for before in record.earlier:
                if before.release.champion == champion:
                    image = Image(before.image, self._engine.inspect(before.image_id).id, 0)
                    self._deploy(image, before.release, None)
                    return before.release
        raise UserError(f"No image with version {champion} as champion was deployed here. Build it: make deploy")

    def running(self) -> Deployment | None:
        """Return the deployment whose container runs, None if there is none."""
        record = ContainerRecord.read(self._record)
        container = self._containers.find(record.container) if record else None
        if record is None or container is None or not container.is_running:
            return None
        address = url(record.address, record.port)
        details = {
            "image": record.image,
            "container": f"{container.name}, {container.status}, restarts: {container.restarts}",
            "log": f"{self._engine.name} logs {container.name}",
        }
        return Deployment(address, self._client.health(address), record.release, record.started, details)

    def absence(self) -> str:
        """Return why nothing runs, where that can be known, and what else listens on the port."""
        texts, record = [], ContainerRecord.read(self._record)
        container = self._containers.find(record.container) if record else None
        if record and container is None:
            texts.append(f"Its container {record.container} was removed by another command.")
        elif container:
            texts.append(
                f"Its container {container.name} is {container.status} (exit code {container.exit_code}). The end of "
                f"its log:\n{self._containers.log_end(container.name)}"
            )
        if found := listeners(self._service.port):
            texts.append(f"Port {self._service.port} is used by: {'; '.join(found)}")
        return "\n".join(texts)

    def remove(self) -> bool:
        """Remove the containers after their requests in progress, and return whether there was one; images stay."""
        owned_folder(self._folder)
        with self._instances.locked("undeploy", LOCK_SECONDS):
            record = ContainerRecord.read(self._record)
            names = self._containers.names(record.container if record else "")
            for name in names:
                self._end(name)
            self._record.unlink(missing_ok=True)
            self._instances.sweep()
        return bool(names)

    def _deploy(self, image: Image, release: Release, champion: Artifact | None) -> Rollout:
        address, old = url(self._service.address, self._service.port), ContainerRecord.read(self._record)
        found = self._containers.find(old.container) if old else None
        serving = self._instances.serving()
        fingerprint = self._fingerprint(image)
        if old and found and found.is_running and serving and old.fingerprint == fingerprint:
            return Rollout(address, f"{found.name} has the image")
        if serving is None and not (found and found.is_running):
            # Fail early, with the name of what listens.
            listen(self._service.address, self._service.port, wait=2).close()
        record = ContainerRecord(
            image=image.name,
            image_id=image.id,
            release=release,
            instance=(instance := self._instances.new()),
            container=f"{self._service.name}-{instance}",
            address=self._service.address,
            port=self._service.port,
            fingerprint=fingerprint,
            started=datetime.now(UTC),
            earlier=earlier(old),
        )
        try:
            self._start(record)
            self._await_ready(record, champion)
        except BaseException:
            if self._containers.find(record.container):
                self._containers.remove(record.container)
            raise
        # From here on the new container takes over, whatever happens to this process.
        record.write(self._record)
        self._await_serving(record, old)
        for name in self._containers.names(old.container if old else ""):
            if name != record.container:
                self._end(name)
        self._instances.sweep()
        return Rollout(address, f"{record.container} from {image.name}", image.id)

    def _end(self, name: str) -> None:
        """Remove a container after its requests in progress."""
        instance, deadline = name.removeprefix(f"{self._service.name}-"), time.monotonic() + STOP_SECONDS
        self._instances.drain(instance)
        while time.monotonic() < deadline:
            state = self._instances.state(instance)
            # The engine starts it again as soon as it has ended: then it waits to be named.
            if state is None or state.phase != "draining":
                break
            time.sleep(0.1)
        self._containers.remove(name)

    def _start(self, record: ContainerRecord) -> None:
        environment = {"PORT": str(record.port), "BIND_ADDRESS": record.address, "LOG_FOLDER": LOG}
        self._containers.start(
            record.container,
            record.image_id,
            ["serve", "--no-pull", "--record", f"{DEPLOYMENT}/{self._record.name}", "--instance", record.instance],
            environment={**self._service.environment, **environment},
            mounts=[
                f"{self._folder}:{DEPLOYMENT}",
                f"{owned_folder(self._log_folder)}:{LOG}",
                *self._service.mounts,
            ],
        )

    def _await_ready(self, record: ContainerRecord, champion: Artifact | None) -> None:
        """Wait until a container has loaded its release and scores rows; `UserError` with the end of its log if not."""
        deadline, rows = time.monotonic() + START_SECONDS, champion.example.rows if champion else []
        reason = f"was not ready within {START_SECONDS} s"
        while time.monotonic() < deadline:
            container = self._containers.find(record.container)
            if container is None or container.restarts or container.status in ("exited", "dead", "stopped"):
                reason = "did not start"
                break
            state, http = self._instances.state(record.instance), self._instances.http(record.instance)
            ready = state is not None and state.phase == "ready"
            if ready and (not rows or instance_http.scores(http, rows, self._service.authorization)):
                return
            time.sleep(0.2)
        log = self._containers.log_end(record.container)
        raise RolloutError(f"The container {reason}; what ran before still runs. The end of its log:\n{log}")

    def _await_serving(self, record: ContainerRecord, old: ContainerRecord | None) -> None:
        deadline = time.monotonic() + HANDOVER_SECONDS
        while time.monotonic() < deadline:
            state = self._instances.state(record.instance)
            if state and state.phase == "serving":
                return
            time.sleep(0.05)
        log = self._containers.log_end(record.container)
        if old and self._instances.state(old.instance):
            old.write(self._record)
        self._containers.remove(record.container)
        raise RolloutError(f"The container did not get the port. The end of its log:\n{log}")

    def _fingerprint(self, image: Image) -> str:
        service = self._service
        parts = [image.id, service.address, service.port, sorted(service.environment.items()), service.mounts]
        return hashlib.sha256(json.dumps([*parts, str(self._log_folder)]).encode()).hexdigest()
