"""What pods serve, asked of each: with the component `sync` that follows the registry, and no longer the deployment."""

from __future__ import annotations

from typing import Any

import requests

from ....common.authorization import authorized
from ....common.errors import UserError
from ...store import Release
from .golden import REQUEST_SECONDS
from .kubectl import Kubectl


def ask(kubectl: Kubectl, name: str, authorization: str) -> dict[str, Release | str]:
    """Return by pod the release that it serves, or why it does not say."""
    labels = f"app.kubernetes.io/name={name},app.kubernetes.io/component=service"
    found: dict[str, Release | str] = {}
    for pod in kubectl.find("pods", labels=labels):
        pod_name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            continue  # It takes no more requests.
        try:
            with kubectl.forwarded(f"pod/{pod_name}") as url:
                answer = requests.get(f"{url}/model", timeout=REQUEST_SECONDS, auth=authorized(authorization))
            found[pod_name] = _release(answer.json()) if answer.ok else f"{answer.status_code} {answer.text[:100]}"
        except (requests.RequestException, ValueError, KeyError, UserError) as error:
            found[pod_name] = f"no answer ({type(error).__name__})"
    return found


def summarize(found: dict[str, Release | str], deployed: Release) -> tuple[Release, dict[str, str]]:
    """Return the release that a service serves, as most pods do, and details: the deployed one, pods that differ."""
    served = [release for release in found.values() if isinstance(release, Release)]
    if not served:
        reasons = "; ".join(dict.fromkeys(str(reason) for reason in found.values()))
        return deployed, {"served": f"unknown, so this is what was deployed: {reasons or 'there are no pods'}"}
    release = max(served, key=lambda candidate: sum(candidate.same_as(other) for other in served))
    details = {} if release.same_as(deployed) else {"deployed": deployed.summary()}
    others = [
        f"{pod}: {other if isinstance(other, str) else f'serves {other.summary()}'}"
        for pod, other in found.items()
        if isinstance(other, str) or not other.same_as(release)
    ]
    return release, details | ({"also": "; ".join(others)} if others else {})


def _release(content: dict[str, Any]) -> Release:
    """Return the release that `GET /model` describes."""
    champion, versions = content["champion"], content["versions"]
    weights = {int(number): percent for number, percent in content["traffic"].items()}
    return Release(
        model=content["model"],
        champion=champion,
        versions={version["version"]: tuple(version["aliases"]) for version in versions},
        digests={version["version"]: version["digest"] for version in versions},
        weights={} if weights == {champion: 100} else weights,
        shadows=tuple(content["shadows"]),
        created=content["released"],
    )
