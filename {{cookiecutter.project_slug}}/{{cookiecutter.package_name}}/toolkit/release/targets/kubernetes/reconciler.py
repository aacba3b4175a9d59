"""Reconciliation of a cluster: a release that differs from the deployed one becomes an image, and is rolled out.

The manifests are those of the last `make deploy`. Only the image of the Deployment changes: a layer with the release is
appended to the image that runs. What fails is undone, tagged in the registry, and not tried again until the release or
the image changes, or the tag is removed.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime

from ....common import console
from ....common.errors import UserError
from ...deployment_history import DeploymentHistory, attempt
from ...store import Release, Store
from .. import RolloutError
from . import golden, rollout
from .cluster import SYNC_FIELD_MANAGER, Cluster, Object
from .difference import changes, short
from .lease import Lease, LeaseError
from .record import Deployed, Record, record_name
from .target import FOLLOWS, GOLDEN_SECONDS

#: The annotation of a Deployment with the versions that it serves.
VERSIONS = "model-service/versions"

#: What manifests have with components whose pods do not serve the release of their image, by that component.
UNSUPPORTED = {
    FOLLOWS: "sync",
    "apiVersion: serving.knative.dev/": "scale-to-zero",
    "          reference: ": "image-volume",
}

#: Appends a release of the store to an image, and returns the new image by its digest.
Append = Callable[[str, Release], str]


class Reconciler:
    """Brings the Deployment of one namespace in sync with a release, one call at a time."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        store: Store,
        history: Callable[[str], DeploymentHistory],
        append: Append,
        *,
        rollout_seconds: float = 300,
        authorization: str = "",
        confirm: Callable[[str, str], None] | None = None,
        holder: str = "",
    ) -> None:
        self._cluster, self._name, self._store = cluster, name, store
        self._history, self._append, self._confirm = history, append, confirm
        self._seconds, self._authorization = rollout_seconds, authorization
        self._lease = Lease(cluster, f"{name}-reconcile", holder or f"{socket.gethostname()}-{os.getpid()}")
        #: Writes of failures that the registry did not take yet, by what was tried.
        self._untagged: dict[str, Callable[[], bool]] = {}
        self._waiting = ""

    def __call__(self, release: Release) -> None:
        """Roll a release out, unless it is deployed, or failed before; `UserError` if it could not be tried."""
        if not self._due(release):
            return
        try:
            with self._lease.held():
                # Somebody else may have done it since.
                if self._due(release):
                    self._reconcile(release)
        except LeaseError as error:
            if str(error) != self._waiting:
                console.say(str(error))
            self._waiting = str(error)
        else:
            self._waiting = ""

    def is_needed(self) -> bool:
        """Whether a new release needs a new image, since the pods do not follow the registry by themselves."""
        current = Record.read(self._cluster, record_name(self._name)).current
        return current is None or FOLLOWS not in current.manifests

    def _due(self, release: Release) -> bool:
        """Whether there is anything to do."""
        record, current = self._read()
        return bool(record.pending) or not (release.same_as(current.release) or self._failed(record, release, current))

    def _read(self) -> tuple[Record, Deployed]:
        record = Record.read(self._cluster, record_name(self._name))
        if record.current is None:
            raise UserError(
                f"{self._name} was not deployed to namespace {self._cluster.namespace} yet, and a reconciliation "
                "changes only the image of a deployment. First: make deploy TARGET=kubernetes"
            )
        for mark, component in UNSUPPORTED.items():
            if mark in record.current.manifests:
                raise UserError(
                    f"With the component `{component}`, no new image of the Deployment brings a new release. Take "
                    f"`{component}` or `reconcile` out of the overlay, and run: make deploy TARGET=kubernetes"
                )
        return record, record.current

    def _failed(self, record: Record, release: Release, current: Deployed) -> bool:
        """Whether a release failed before over the image that runs."""
        tried = attempt(release, current.image)
        if tried in self._untagged and self._untagged[tried]():
            del self._untagged[tried]
        return tried in self._untagged or tried in self._place(record).attempts(release)

    def _reconcile(self, release: Release) -> None:
        record, current = self._read()
        deployment = self._deployment()
        running = _image(deployment)
        if running not in (current.image, record.pending):
            raise UserError(
                f"The cluster runs {short(running)}, and {short(current.image)} was deployed last: a deployment by "
                "hand is in progress, or was interrupted. make deploy TARGET=kubernetes settles it"
            )
        if release.same_as(current.release) or self._failed(record, release, current):
            # A reconciliation was interrupted, and is not wanted any more.
            self._go_back(record, current)
            return
        if self._confirm:
            self._confirm(record.overlay, f"deploy {release.summary()}")
        with console.step("layer") as step:
            image = self._append(current.image, release)
            step.detail = image
        console.table(["", "now", "after deploy"], changes(current, release, short(image)))
        self._lease.check()
        record.pending = image
        self._write(record)
        try:
            with console.step("rollout") as step:
                self._roll_out(running, image, release)
                step.detail = f"{self._cluster.namespace}, {release.summary()}"
        except RolloutError as error:
            self._check_untouched(image)
            self._fail(record, current, release, error)
            return
        self._check_untouched(image)
        manifests = current.manifests.replace(current.image, image)
        record.previous = current
        record.current = Deployed(release=release, image=image, manifests=manifests, since=datetime.now(UTC))
        record.pending = ""
        self._write(record)
        self._place(record).deployed(release, image)

    def _roll_out(self, before: str, image: str, release: Release) -> None:
        """Set the image and wait until it serves; `RolloutError` if it does not."""
        self._set(before, image, release)
        rollout.wait(self._cluster, self._name, self._seconds)
        champion = self._store.load(release.champion)
        golden.check(self._cluster, self._name, champion, release.champion, self._authorization, GOLDEN_SECONDS)

    def _check_untouched(self, image: str) -> None:
        """Raise `UserError` if somebody else has changed the deployment since an image was set."""
        self._lease.check()
        running = _image(self._deployment())
        if running != image or self._read()[0].pending != image:
            raise UserError(f"{short(running)} was deployed by hand meanwhile; it is left as it is")

    def _fail(self, record: Record, good: Deployed, release: Release, error: RolloutError) -> None:
        """Tag what failed, then go back: whatever is interrupted, it is not tried again."""
        tried = attempt(release, good.image)
        console.say(f"The rollout failed; going back to {good.release.summary()}.\n{error}")

        def tag() -> bool:
            return self._place(record).failed(release, good.release, tried, str(error))

        if not tag():
            self._untagged[tried] = tag
        console.say("It is not tried again until the release or the image changes, or the tag is removed in MLflow.")
        self._go_back(record, good)

    def _go_back(self, record: Record, good: Deployed) -> None:
        try:
            running = _image(self._deployment())
            if running == record.pending and running != good.image:
                self._set(running, good.image, good.release)
                rollout.wait(self._cluster, self._name, self._seconds)
        except RolloutError as error:
            raise UserError(f"Going back to {short(good.image)} failed, so look at the cluster: {error}") from error
        record.pending = ""
        self._write(record)

    def _set(self, before: str, image: str, release: Release) -> None:
        """Replace an image wherever the Deployment has it."""
        pod = self._deployment()["spec"]["template"]["spec"]
        changed = {
            kind: [{"name": c["name"], "image": image} for c in pod.get(kind, []) if c["image"] == before]
            for kind in ("initContainers", "containers")
        }
        content = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self._name, "annotations": {VERSIONS: release.summary()}},
            "spec": {"template": {"spec": {kind: found for kind, found in changed.items() if found}}},
        }
        self._cluster.apply(json.dumps(content), manager=SYNC_FIELD_MANAGER)

    def _deployment(self) -> Object:
        found: Object | None = self._cluster.get("deployment", self._name)
        if found is None:
            raise UserError(f"Deployment {self._name} is gone. make deploy TARGET=kubernetes makes it anew")
        return found

    def _write(self, record: Record) -> None:
        record.write(self._cluster, record_name(self._name))

    def _place(self, record: Record) -> DeploymentHistory:
        return self._history(f"{record.overlay}/{self._cluster.namespace}")


def _image(deployment: Object) -> str:
    """Return the image of the service."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return str(next(c["image"] for c in containers if c["name"] == "service"))
