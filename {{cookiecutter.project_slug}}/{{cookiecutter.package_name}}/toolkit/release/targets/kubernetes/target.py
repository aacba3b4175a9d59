"""The target: plan, apply, status, rollback and removal of a release on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ....common import console
from ....common.errors import UserError
from ....training import provenance
from ....version.artifact import Artifact
from ...store import Release, Store
from .. import Deployment, Rollout
from . import address, golden, knative, rollout, served
from .cluster import FIELD_MANAGER
from .confirmation import confirm
from .difference import changes, readable, short
from .kubectl import Kubectl
from .manifests import Manifest, check_pinned, fit, images, join, render, split
from .record import Deployed, Record, delete, record_name

GOLDEN_SECONDS = 30
#: The tag of an image that `apply` has yet to build.
LATER = "built-by-deploy"
#: The mark of pods whose store follows the registry.
FOLLOWS = "model-service/follows: registry"


class Kubernetes:
    """Runs the store's release on a cluster, from an image that holds it; the image is named by its digest."""

    def __init__(
        self,
        root: Path,
        name: str,
        store: Store,
        image: str,
        *,
        build: Callable[[], str] | None = None,
        parts: Mapping[str, Callable[[], str]] | None = None,
        overlay: str = "staging",
        context: str = "",
        namespace: str = "",
        rollout_seconds: float = 300,
        confirmed: bool = False,
        authorization: str = "",
    ) -> None:
        self._root, self._name, self._store, self._image = root, name, store, image
        self._build, self._parts = build, parts or {}
        self._overlay, self._seconds, self._confirmed = overlay, rollout_seconds, confirmed
        self._authorization = authorization
        self._kubectl = Kubectl(context, namespace)
        self._record_name = record_name(name)

    @property
    def place(self) -> str:
        """The overlay and the namespace."""
        return f"{self._overlay}/{self._kubectl.namespace}"

    def plan(self, release: Release) -> bool:
        """Print what `apply` would change on the cluster, and return whether it would change anything."""
        cluster = self._kubectl.check()
        record = Record.read(self._kubectl, self._record_name)
        # Planning builds nothing: until there is an image of the release, the manifests have the one that runs.
        image = self._image or (record.current.image if record.current else f"{self._name}:{LATER}")
        manifests, notes = self._render(image, cluster, record.current.parts if record.current else {})
        check_pinned(manifests, later=LATER)
        stale = sorted(set(record.objects) - {manifest.identity for manifest in manifests})
        difference = self._kubectl.run(
            "diff",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={FIELD_MANAGER}",
            "--filename=-",
            stdin=join(manifests),
            codes=(0, 1),
        )
        now = record.current
        same = now is not None and release.same_as(now.release) and image == now.image
        if now and now.commit and not self._image:
            # Of another commit, deploy builds another image.
            same = same and now.commit == provenance.commit(self._root)
        if same and not difference.strip() and not stale:
            return False
        after = short(image) if self._image else "built and pushed by deploy"
        console.table(["", "now", "after deploy"], changes(now, release, after))
        console.say(f"\nNamespace {self._kubectl.namespace}, overlay {self._overlay}:")
        for line in readable(difference) + [f"- {identity}" for identity in stale] + notes:
            console.say(line)
        return True

    def apply(self, champion: Artifact) -> Rollout:
        """Run the store's release; `UserError` has the cluster's reason, and what ran before runs then."""
        release = self._store.release()
        assert release is not None
        cluster = self._kubectl.check()
        confirm(self._kubectl, self._overlay, f"deploy {release.summary()}", given=self._confirmed)
        record = Record.read(self._kubectl, self._record_name)
        # What kustomize or the cluster rejects is to fail before anything is built.
        manifests, _ = self._render(self._image or f"{self._name}:{LATER}", cluster, {})
        parts = {part: self._parts[part]() for part in self._missing(manifests)}
        commit = "" if self._image else provenance.commit(self._root)
        image = self._named()
        manifests, notes = self._render(image, cluster, parts)
        check_pinned(manifests)
        # What cannot be applied is to fail before anything is changed.
        self._kubectl.apply(join(manifests), "--dry-run=server")
        for note in notes:
            console.say(note)
        now, text = datetime.now(UTC), join(manifests)
        deployment = Deployed(release=release, image=image, parts=parts, manifests=text, since=now, commit=commit)
        try:
            self._bring(record, deployment, champion)
        except BaseException as error:
            self._go_back(record, error, manifests)
            raise
        action = "rolled out, and checked with rows of the hold-out through the Service"
        url = address.find(self._kubectl, self._name, manifests)
        if hint := address.hint(self._kubectl, self._name, url):
            console.say(hint)
        return Rollout(url, action, image)

    def running(self) -> Deployment | None:
        """Return the deployment in operation, None if there is none."""
        self._kubectl.check()
        record = Record.read(self._kubectl, self._record_name)
        if record.current is None:
            return None
        manifests = split(record.current.manifests)
        health, details = self._health(record.current)
        url, release = address.find(self._kubectl, self._name, manifests), record.current.release
        if FOLLOWS in record.current.manifests:
            asked = served.ask(self._kubectl, self._name, self._authorization)
            release, differences = served.summarize(asked, release)
            details |= differences
        if problem := address.route_problem(self._kubectl, self._name, manifests):
            details["route"] = problem
        return Deployment(url, health, release, record.current.since, details)

    def rollback(self, champion: int) -> Release:
        """Run what the last deploy replaced, and return its release; `UserError` if its champion is another."""
        self._kubectl.check()
        record = Record.read(self._kubectl, self._record_name)
        if record.current and FOLLOWS in record.current.manifests:
            console.say("The pods follow the registry (component sync), so they are left as they are.")
            return record.current.release
        old = record.previous
        if old is None:
            raise UserError(f"There is no earlier deployment of {self._name} in namespace {self._kubectl.namespace}")
        if champion != old.release.champion:
            text = f"The deployment before served version {old.release.champion}, not {champion}"
            raise UserError(f"{text}. To serve {champion}: make deploy")
        confirm(self._kubectl, self._overlay, f"go back to {old.release.summary()}", given=self._confirmed)
        self._bring(record, old.model_copy(update={"since": datetime.now(UTC)}), None)
        return old.release

    def remove(self) -> bool:
        """Delete every object that deploys have made, and return whether there was one."""
        self._kubectl.check()
        record = Record.read(self._kubectl, self._record_name)
        if not record.objects:
            return False
        confirm(self._kubectl, self._overlay, "delete the deployment", given=self._confirmed)
        delete(self._kubectl, [*record.objects, f"configmap/{self._record_name}"])
        return True

    def _named(self) -> str:
        """Return the image to deploy, by digest: the one that is named, else one that is built now."""
        if not self._image:
            if self._build is None:
                raise UserError("IMAGE is not set; it names the image to deploy, by digest: registry/name@sha256:...")
            self._image = self._build()
        return self._image

    def _render(
        self, image: str, cluster: tuple[int, int], parts: Mapping[str, str]
    ) -> tuple[list[Manifest], list[str]]:
        named = {self._name: image}
        for part in self._parts:
            named[f"{self._name}-{part}"] = parts.get(part, f"{self._name}-{part}:{LATER}")
        manifests = render(self._root, self._overlay, self._kubectl, self._name, named)
        return fit(manifests, set(self._kubectl.run("api-versions").split()), cluster)

    def _missing(self, manifests: list[Manifest]) -> list[str]:
        """Return the parts that manifests have, and whose images nobody has named."""
        found = images(manifests)
        return [part for part in self._parts if f"{self._name}-{part}:{LATER}" in found]

    def _bring(self, record: Record, new: Deployed, champion: Artifact | None) -> None:
        """Apply a deployment, wait until it serves, delete what it does not have any more, and record it."""
        identities = [manifest.identity for manifest in split(new.manifests)]
        old = record.current
        # Recorded first: whatever is interrupted from here on, the next deploy knows what there may be.
        record.objects, record.overlay = sorted({*record.objects, *identities}), self._overlay
        record.write(self._kubectl, self._record_name)
        self._kubectl.apply(new.manifests)
        url = self._await(new)
        if champion is not None:
            seconds, number = GOLDEN_SECONDS, new.release.champion
            golden.check(self._kubectl, self._name, champion, number, self._authorization, seconds, url)
        delete(self._kubectl, sorted(set(record.objects) - set(identities)))
        if old and not (old.image == new.image and old.manifests == new.manifests):
            record.previous = old
        record.current, record.objects, record.pending = new, sorted(identities), ""
        record.write(self._kubectl, self._record_name)

    def _await(self, deployment: Deployed) -> str:
        """Wait until a deployment is ready; return the URL to ask, "" if that is the Service's."""
        if knative.serves(split(deployment.manifests)):
            return knative.wait(self._kubectl, self._name, self._seconds)
        rollout.wait(self._kubectl, self._name, self._seconds)
        return ""

    def _go_back(self, record: Record, error: BaseException, failed: list[Manifest]) -> None:
        """Run the last good deployment again after one that failed; `UserError` says both when that fails too."""
        good = record.current
        back = f"going back to {good.release.summary()}" if good else "removing what was made"
        console.say(f"The deployment failed; {back}")
        try:
            if good is None:
                delete(self._kubectl, [*record.objects, f"configmap/{self._record_name}"])
                return
            self._kubectl.apply(good.manifests)
            kept = {manifest.identity for manifest in split(good.manifests)}
            delete(self._kubectl, sorted({manifest.identity for manifest in failed} - kept))
            self._await(good)
            record.objects = sorted(kept)
            record.write(self._kubectl, self._record_name)
        except UserError as second:
            raise UserError(f"{error}\nGoing back failed too, so look at the cluster: {second}") from error

    def _health(self, deployment: Deployed) -> tuple[str, dict[str, str]]:
        """Return the health of what runs, and what differs from what was deployed."""
        details = {"namespace": self._kubectl.namespace, "image": deployment.image}
        if knative.serves(split(deployment.manifests)):
            return knative.health(self._kubectl, self._name), details
        found = self._kubectl.get("deployment", self._name)
        if found is None:
            return "the Deployment is gone; make deploy makes it anew", details
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
        available = status.get("availableReplicas", 0)
        actual = {container["image"] for container in found["spec"]["template"]["spec"]["containers"]}
        if deployment.image not in actual:
            details["differs"] = f"the cluster runs {', '.join(sorted(actual))}; make deploy sets what was recorded"
        details["pods"] = f"{available} of {wanted} available, {status.get('updatedReplicas', 0)} of this deployment"
        return "ready" if available >= wanted else f"{available} of {wanted} pods ready", details
