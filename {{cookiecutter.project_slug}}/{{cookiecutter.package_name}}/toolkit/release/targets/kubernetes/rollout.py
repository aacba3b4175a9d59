"""A rollout: wait until new pods serve, or find the cluster's own reason why they do not."""

from __future__ import annotations

import json
import time
from typing import Any

from ....common.errors import UserError
from .kubectl import Kubectl, KubectlError

#: Reasons to wait that do not pass by themselves.
STUCK = {
    "ImagePullBackOff": "the image cannot be pulled",
    "ErrImageNeverPull": "the image is not on the node",
    "InvalidImageName": "the image's name is not valid",
    "CreateContainerConfigError": "the container's settings are not complete",
    "CreateContainerError": "the container cannot be created",
    "RunContainerError": "the container cannot be run",
    "CrashLoopBackOff": "the container ends again and again",
}
#: Seconds after which a ReplicaSet that may not make pods (quota, admission) counts as failed.
DENIED_SECONDS = 10
#: Seconds that the API server may be out of reach during a rollout.
SILENT_SECONDS = 60
LOG_LINES = 15


class RolloutError(UserError):
    """A rollout that failed; the message is the cluster's own reason."""


def wait(kubectl: Kubectl, name: str, seconds: float) -> None:
    """Wait until all pods of a Deployment are new and ready; `RolloutError` says why they never will be."""
    deadline, denied_since = time.monotonic() + seconds, 0.0
    answered = time.monotonic()
    while True:
        try:
            deployment, pods = _state(kubectl, name)
        except KubectlError:
            # The network may fail for a moment while the rollout goes on.
            if time.monotonic() - answered > SILENT_SECONDS:
                raise
            time.sleep(1)
            continue
        answered = time.monotonic()
        if _complete(deployment):
            return
        for pod in pods:
            if reason := stuck(pod):
                raise RolloutError(_report(kubectl, pod, reason))
        denied = _condition(deployment, "ReplicaFailure")
        denied_since = (denied_since or time.monotonic()) if denied else 0.0
        if denied and time.monotonic() - denied_since > DENIED_SECONDS:
            raise RolloutError(f"The cluster does not allow the pods: {denied['message']}")
        late = _condition(deployment, "Progressing", "False")
        if late or time.monotonic() > deadline:
            raise RolloutError(_late(kubectl, deployment, pods, seconds))
        time.sleep(1)


def stuck(pod: dict[str, Any]) -> str:
    """Return why a pod will not become ready by itself, "" if it may."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in STUCK:
            words = waiting.get("message", "")
            ended = container.get("lastState", {}).get("terminated", {})
            if ended.get("reason") == "OOMKilled":
                words = "it needed more memory than resources.limits.memory allows (OOMKilled)"
            return f"container {container['name']}: {STUCK[waiting['reason']]} ({waiting['reason']}). {words}".strip()
    return ""


def _state(kubectl: Kubectl, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a Deployment and the pods of its newest revision."""
    selector = f"--selector=app.kubernetes.io/name={name}"
    found = json.loads(kubectl.run("get", "deployments,replicasets,pods", selector, "--output=json"))["items"]
    deployment = next((o for o in found if o["kind"] == "Deployment" and o["metadata"]["name"] == name), None)
    if deployment is None:
        raise RolloutError(f"Deployment {name} was deleted while it was rolled out.")
    revision = deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return deployment, []
    hashes = {
        o["metadata"]["labels"].get("pod-template-hash")
        for o in found
        if o["kind"] == "ReplicaSet"
        and o["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision") == revision
    }
    pods = [o for o in found if o["kind"] == "Pod" and o["metadata"]["labels"].get("pod-template-hash") in hashes]
    return deployment, pods


def _complete(deployment: dict[str, Any]) -> bool:
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status", {})
    return (
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def _condition(deployment: dict[str, Any], kind: str, status: str = "True") -> dict[str, Any] | None:
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return None
    conditions = deployment.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind and c["status"] == status), None)


def _late(kubectl: Kubectl, deployment: dict[str, Any], pods: list[dict[str, Any]], seconds: float) -> str:
    """Return why a rollout took too long, as far as pods and events say."""
    denied = _condition(deployment, "ReplicaFailure")
    if denied:
        return f"The cluster does not allow the pods: {denied['message']}"
    text = f"The rollout did not end within {seconds:g} s"
    for pod in pods:
        conditions = {c["type"]: c for c in pod.get("status", {}).get("conditions", [])}
        if conditions.get("PodScheduled", {}).get("status") == "False":
            words = conditions["PodScheduled"].get("message", "")
            return f"{text}: no node takes pod {pod['metadata']['name']}: {words}"
    waiting = [pod for pod in pods if not _ready(pod)]
    return _report(kubectl, waiting[0], text) if waiting else f"{text}, and its pods say nothing about it."


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _report(kubectl: Kubectl, pod: dict[str, Any], reason: str) -> str:
    """Return a reason with the pod's last warnings and the last lines of its log: one screen."""
    name = pod["metadata"]["name"]
    lines = [f"Pod {name}: {reason}"]
    try:
        events = kubectl.get("events", f"--field-selector=involvedObject.name={name},type=Warning")
        messages = [event.get("message", "").strip() for event in (events or {}).get("items", [])]
        lines += [f"  event: {message[:300]}" for message in list(dict.fromkeys(messages))[-3:]]
        lines += [f"  log:   {line[:300]}" for line in _log(kubectl, pod)]
    except KubectlError as error:
        lines.append(f"  (events and log cannot be read: {error})")
    return "\n".join(lines)


def _log(kubectl: Kubectl, pod: dict[str, Any]) -> list[str]:
    """Return the last lines of the container that is to blame; those of its last end if there was one."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if container.get("ready") or not (container.get("restartCount") or "running" in container.get("state", {})):
            continue
        for option in (["--previous"] if container.get("restartCount") else []), []:
            try:
                arguments = [pod["metadata"]["name"], f"--container={container['name']}", f"--tail={LOG_LINES}"]
                if text := kubectl.run("logs", *arguments, *option):
                    return text.splitlines()
            except KubectlError:
                continue
    return []
