"""Deploy: make a target serve the registry's release; plan, status and undeploy."""

from __future__ import annotations

import json
import shlex

from . import config
from .shared import targets
from .shared.access import access_policy, authorization, check_authorized
from .shared.trust import approval_rules, model_store
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.registry.client import connect
from .toolkit.registry.deployments import ROLLED_BACK, failures
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release.deployment_history import DeploymentHistory
from .toolkit.release.desired import desired_release
from .toolkit.release.reconcile import pull_release
from .toolkit.release.store import Release
from .toolkit.release.targets import ExplainsAbsence, RolloutError, Target
from .toolkit.release.warmer import Warmer


def run(settings: config.Settings) -> str:
    """Make the target serve the registry's release, and return its URL."""
    policy = access_policy(settings)
    policy.load()
    target, store = targets.target(settings), model_store(settings)
    before = store.readable_release()
    warmer = Warmer(store, settings.rollback_seconds)
    release = pull_release(settings.mlflow_tracking_uri, settings.model_name, store, warmer)
    try:
        check_authorized(policy, authorization(settings))
        with console.step("start") as step:
            rollout = target.apply(store.load(release.champion))
            step.detail = f"{settings.target}, {rollout.action}"
    except BaseException as error:
        # Not if another command has brought a later release in the meantime.
        if store.release() == release:
            store.write(before)
        if isinstance(error, RolloutError):
            _history(settings, target).failed(release, before, "", str(error))
        raise
    _history(settings, target).deployed(release, rollout.image)
    url = rollout.url
    console.say(f"\nVersion {release.champion} of {release.model} answers at {url}")
    if rollout.call:
        console.say("AWS decides who may call: requests are signed.")
    else:
        console.say(*policy.describe(settings.bind_address if settings.target in ("local", "docker") else "0.0.0.0"))
    console.say()
    console.say(rollout.call or curl(url, store.load(release.champion).example.rows[:1], policy.curl_option))
    console.next_steps(
        *([] if rollout.call else [(url, "Swagger UI: try it in the browser")]),
        ("make status", "what is running"),
        ("make undeploy", "stop it"),
    )
    return url


def plan(settings: config.Settings) -> bool:
    """Print what `deploy` would change, and return whether it would change anything."""
    desired = _desired(settings)
    changes = targets.target(settings).plan(desired)
    if changes:
        console.next_steps(("make deploy", "apply it"))
    else:
        console.say(f"Nothing to do: {settings.target} serves {desired.summary()}.")
    return changes


def status(settings: config.Settings) -> None:
    """Print what runs, and whether it is in sync with the registry."""
    target = targets.target(settings)
    running = target.running()
    if running is None:
        console.say(_absence(settings))
        try:
            console.next_steps(("make deploy", f"serve {_desired(settings).summary()}"))
        except UserError as error:
            console.say(str(error))
        return
    rows = {
        "target": settings.target,
        "address": running.url,
        "health": running.health,
        "serves": f"{running.release.model}, {running.release.summary()}",
        "since": f"{running.since:%Y-%m-%d %H:%M:%S} UTC",
        **running.details,
        "registry": _comparison(settings, target, running.release),
    }
    for name, value in rows.items():
        console.say(f"{name:<10}{value}")


def undeploy(settings: config.Settings) -> None:
    """Stop the deployment; versions and registry stay as they are."""
    target = targets.target(settings)
    with console.step("stop") as step:
        removed = target.remove()
        step.detail = "stopped" if removed else _absence(settings)
    if removed:
        _history(settings, target).removed()


def roll_back(settings: config.Settings, champion: int) -> None:
    """Have the target run the deployment before, which serves the previous champion."""
    target = targets.target(settings)
    with console.step("rollback") as step:
        release = target.rollback(champion)
        step.detail = release.summary() if release else f"{settings.target} has it after make deploy"
    if release:
        running = target.running()
        image = running.details.get("image", "") if running else ""
        _history(settings, target).deployed(release, image, ROLLED_BACK)
    console.next_steps(("make status", "what is running") if release else ("make deploy", "serve it"))


def curl(url: str, rows: list[dict[str, object]], option: str = "") -> str:
    """Return a command line that scores rows when pasted into a shell; `option` sends credentials."""
    parts = ["curl -s", f"{url}/predict", *([option] if option else []), "-H 'Content-Type: application/json'"]
    return " ".join([*parts, "-d", shlex.quote(json.dumps(rows))])


def _absence(settings: config.Settings) -> str:
    """Return that nothing is deployed, and what the target knows of that."""
    target = targets.target(settings)
    reason = target.absence() if isinstance(target, ExplainsAbsence) else ""
    return f"Nothing is deployed to {settings.target}." + (f"\n{reason}" if reason else "")


def _desired(settings: config.Settings) -> Release:
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        return desired_release(registry, approvals=approval_rules(settings))


def _comparison(settings: config.Settings, target: Target, release: Release) -> str:
    """Return as text whether a release is in sync with the registry; a registry that does not answer is no failure."""
    try:
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
        with mlflow_errors(settings.mlflow_tracking_uri):
            versions = registry.versions()
            desired = desired_release(registry, versions, approval_rules(settings))
    except UserError as error:
        return str(error)
    if desired.same_as(release):
        return "in sync"
    if desired.same_but_for_aliases(release):
        return f"in sync, except for aliases: the registry has {desired.summary()}"
    failed = [
        f"\nThe rollout of version {version.number} failed at {failure.when[:16]}: {failure.reason}"
        for version in versions
        if version.number in desired.versions
        for failure in failures(version)
        if (failure.target, failure.place) == (settings.target, target.place)
    ]
    return f"differs: the registry has {desired.summary()}; make deploy serves it{''.join(failed)}"


def _history(settings: config.Settings, target: Target) -> DeploymentHistory:
    return DeploymentHistory(settings.mlflow_tracking_uri, settings.model_name, settings.target, target.place)
