"""Deploy: make a target serve what the registry says."""

from __future__ import annotations

import hashlib
import json
import shlex

from . import config
from .access import access_policy, authorization, check_authorized
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release.desired import converge, desired
from .toolkit.release.store import Release, Store
from .toolkit.release.targets import Target
from .toolkit.release.targets.local import Local


def run(settings: config.Settings) -> str:
    """Converge the target on the registry and return the URL that answers."""
    policy = access_policy(settings)
    policy.load()
    target, store = _target(settings), Store(settings.store)
    before = store.release()
    release = pull(settings)
    try:
        check_authorized(policy, authorization(settings))
        with console.step("start") as step:
            url = target.apply(store.load(release.champion))
            step.detail = f"{settings.target}, health-checked with rows of the hold-out"
    except BaseException:
        store.write(before)
        raise
    console.say(f"\nVersion {release.champion} of {release.model} answers at {url}")
    console.say(*policy.describe(settings.bind_address))
    console.say()
    console.say(curl(url, store.load(release.champion).example.rows[:1], policy.curl_option))
    console.next_steps(
        (url, "Swagger UI: try it in the browser"),
        ("make status", "what is running"),
        ("make undeploy", "take it down"),
    )
    return url


def pull(settings: config.Settings) -> Release:
    """Bring the versions that the registry wants served into the store, and write the release."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri), console.step("pull") as step:
        release = converge(registry, Store(settings.store))
        step.detail = f"{release.model}, {release.words()}"
    return release


def plan(settings: config.Settings) -> bool:
    """Print what `deploy` would change, and return whether it would change anything."""
    registry = connect(settings.mlflow_tracking_uri, settings.model_name)
    with mlflow_errors(settings.mlflow_tracking_uri):
        wanted = desired(registry)
    running = _target(settings).running()
    if running and wanted.same_as(running.release):
        console.say(f"Nothing to do: {settings.target} serves {wanted.words()}.")
        return False
    console.table(
        ["", "now", "after deploy"],
        [
            ["champion", str(running.release.champion) if running else "-", str(wanted.champion)],
            ["versions", running.release.words() if running else "-", wanted.words()],
        ],
    )
    console.next_steps(("make deploy", "carry it out"))
    return True


def status(settings: config.Settings) -> None:
    """Print what runs, and whether it is what the registry wants."""
    running = _target(settings).running()
    if running is None:
        console.say(f"Nothing is deployed to {settings.target}.")
        console.next_steps(("make deploy", "serve the champion"))
        return
    rows = [
        ["target", settings.target],
        ["address", running.url],
        ["health", running.health],
        ["serves", f"{running.release.model}, {running.release.words()}"],
        ["since", f"{running.since:%Y-%m-%d %H:%M:%S} UTC"],
        *([name, value] for name, value in running.details.items()),
    ]
    try:
        registry = connect(settings.mlflow_tracking_uri, settings.model_name)
        with mlflow_errors(settings.mlflow_tracking_uri):
            wanted = desired(registry)
        in_step = wanted.same_as(running.release)
        rows.append(["registry", "in step" if in_step else f"wants {wanted.words()}; make deploy brings it there"])
    except UserError as error:
        rows.append(["registry", str(error)])
    for name, value in rows:
        console.say(f"{name:<10}{value}")


def undeploy(settings: config.Settings) -> None:
    """Take the deployment down; versions and registry stay as they are."""
    with console.step("stop") as step:
        step.detail = "stopped" if _target(settings).remove() else f"nothing was deployed to {settings.target}"


def curl(url: str, rows: list[dict[str, object]], option: str = "") -> str:
    """Return a command line that scores rows when pasted into a shell; `option` sends credentials."""
    words = ["curl -s", f"{url}/predict", *([option] if option else []), "-H 'Content-Type: application/json'"]
    return " ".join([*words, "-d", shlex.quote(json.dumps(rows))])


def _target(settings: config.Settings) -> Target:
    store = Store(settings.store)
    return Local(
        config.ROOT,
        config.PACKAGE,
        store,
        settings.bind_address,
        settings.port,
        _fingerprint(settings),
        authorization(settings),
    )


def _fingerprint(settings: config.Settings) -> str:
    """Return something that changes with the code and the settings of the service."""
    total = hashlib.sha256(settings.model_dump_json().encode())
    for path in sorted((config.ROOT / config.PACKAGE).rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()
