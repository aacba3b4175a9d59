"""Reconciliation: download the versions of the registry's release and make it the current one."""

from __future__ import annotations

from ..common import console
from ..registry.client import Registry, connect
from ..registry.errors import mlflow_errors
from .desired import desired_release
from .store import Release, Store
from .warmer import Warmer


def reconcile(registry: Registry, store: Store, warmer: Warmer | None = None) -> Release:
    """Bring the store in sync with the registry, and return the current release.

    `warmer` names the warm version of the store; without one, that stays as it is.
    """
    versions, tags = registry.versions(), registry.tags()
    release = desired_release(registry, versions, store.admission.approvals, tags)
    released = [version for version in versions if version.number in release.versions]
    missing = [version for version in released if not store.holds(version.number, version.digest)]
    for version in released:
        store.pull(version, registry.download)
    before = current = store.readable_release()
    # After a repair the release is written again: a service that could not load the version then tries again.
    if missing or current is None or not release.same_as(current):
        store.write(release)
        current = release
    store.set_problem("")
    if warmer:  # after the release, which does not wait for it
        warmer.keep(registry, versions, tags, release, before)
    return current


def pull_release(tracking_uri: str, model_name: str, store: Store, warmer: Warmer | None = None) -> Release:
    """Reconcile a store with the registry at a tracking URI, shown as a step, and return the current release."""
    registry = connect(tracking_uri, model_name)
    with mlflow_errors(tracking_uri), console.step("pull") as step:
        release = reconcile(registry, store, warmer)
        step.detail = f"{release.model}, {release.summary()}"
    return release
