"""How a service comes to serve the traffic weights of the registry, on each target that can split traffic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import requests

from ..common import console
from ..common.errors import UserError, explain_os_errors
from ..release.deployment_history import DeploymentHistory
from ..release.reconcile import reconcile
from ..release.store import Release, Store
from ..release.targets import Deployment, RolloutError, Target
from ..release.targets.service_client import FOLLOW_SECONDS, ServiceClient
from ..release.warmer import Warmer
from .ledger import OpenRegistry

PAUSE_SECONDS = 0.5
CURE = "make deploy brings it in sync"


class Served(NamedTuple):
    """The traffic weights in percent by version, and why the service does not serve a newer release, "" if it does."""

    weights: Mapping[int, int]
    problem: str = ""


class Service:
    """The service of one deployment, which is made to serve what the registry says; `history` has what it served."""

    def __init__(
        self,
        target: Target,
        store: Store,
        warmer: Warmer,
        registry: OpenRegistry,
        history: DeploymentHistory,
        authorization: str,
    ) -> None:
        self._target, self._store, self._warmer, self._registry = target, store, warmer, registry
        self._history, self._client = history, ServiceClient(authorization)

    def follow_store(self, weights: Mapping[int, int]) -> None:
        """Reconcile the store; the running process loads it, without a restart."""
        release = self._reconcile()
        wait(self._served, weights, FOLLOW_SECONDS, CURE)
        self._history.deployed(release)

    def deploy(self, weights: Mapping[int, int]) -> None:
        """Deploy an image of the release, unless it runs."""
        release = self._reconcile()
        rollout = self._target.apply(self._store.load(release.champion))
        wait(self._served, weights, FOLLOW_SECONDS, CURE)
        self._history.deployed(release, rollout.image)

    def roll_out(self, weights: Mapping[int, int], roll_out: Callable[[Release], None] | None, seconds: float) -> None:
        """Have a cluster roll out the release; without `roll_out`, wait until its pods have followed the registry."""
        if roll_out:
            roll_out(self._reconcile())
        wait(self._deployed, weights, seconds, "kubectl get pods tells more")

    def _reconcile(self) -> Release:
        with self._registry() as registry, explain_os_errors(self._store.root):
            return reconcile(registry, self._store, self._warmer)

    def _served(self) -> Served:
        return served_at(self._client, running(self._target).url)

    def _deployed(self) -> Served:
        release = running(self._target).release
        return Served(release.weights or {release.champion: 100})


def running(target: Target) -> Deployment:
    """Return what runs; `UserError` if nothing does."""
    found = target.running()
    if found is None:
        raise UserError("Nothing is deployed, so there is no traffic to try a version on. First: make deploy")
    return found


def served_at(client: ServiceClient, address: str) -> Served:
    """Return what the service at an address serves; `UserError` if it does not answer."""
    try:
        content = client.model(address)
        weights = {int(number): int(percent) for number, percent in content["traffic"].items()}
    except (requests.RequestException, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{address}/model does not answer ({type(error).__name__}): make status tells more") from error
    return Served(weights, str(content.get("problem") or ""))


def wait(served: Callable[[], Served], wanted: Mapping[int, int], seconds: float, cure: str) -> None:
    """Wait until weights are served; `RolloutError` if they cannot be, `UserError` with a cure after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        now = served()
        if {number: percent for number, percent in now.weights.items() if percent} == dict(wanted):
            return
        if now.problem:
            raise RolloutError(now.problem)
        if time.monotonic() >= deadline:
            weights = ", ".join(f"{percent} % to {number}" for number, percent in now.weights.items())
            after = console.duration(seconds)
            raise UserError(f"after {after} the service still serves other traffic weights ({weights}): {cure}")
        time.sleep(PAUSE_SECONDS)
