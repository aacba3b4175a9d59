"""A rollout: wait until new pods serve, or find the cluster's own reason why they do not."""

from __future__ import annotations

import time
from typing import Any

from .. import RolloutError
from .cluster import Cluster, ClusterError

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


def wait(cluster: Cluster, name: str, seconds: float) -> None:
    """Wait until all pods of a Deployment are new and ready; `RolloutError` says why they never will be."""
    deadline, denied_since = time.monotonic() + seconds, 0.0
    answered = time.monotonic()
    while True:
        try:
            deployment, pods = _state(cluster, name)
        except ClusterError:
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
                raise RolloutError(_report(cluster, pod, reason))
        denied = _condition(deployment, "ReplicaFailure")
        denied_since = (denied_since or time.monotonic()) if denied else 0.0
        if denied and time.monotonic() - denied_since > DENIED_SECONDS:
            raise RolloutError(f"The cluster does not allow the pods: {denied['message']}")
        late = _condition(deployment, "Progressing", "False")
        if late or time.monotonic() > deadline:
            raise RolloutError(_late(cluster, deployment, pods, seconds))
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


def _state(cluster: Cluster, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a Deployment and the pods of its newest revision."""
    deployment = cluster.get("deployment", name)
    if deployment is None:
        raise RolloutError(f"Deployment {name} was deleted while it was rolled out.")
    revision = deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return deployment, []
    labels = f"app.kubernetes.io/name={name}"
    hashes = {
        replicas["metadata"]["labels"].get("pod-template-hash")
        for replicas in cluster.find("replicaset", labels=labels)
        if replicas["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision") == revision
        # Components have Deployments of their own.
        and any(owner["name"] == name for owner in replicas["metadata"].get("ownerReferences", []))
    }
    pods = cluster.find("pod", labels=labels)
    return deployment, [pod for pod in pods if pod["metadata"]["labels"].get("pod-template-hash") in hashes]


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


def _late(cluster: Cluster, deployment: dict[str, Any], pods: list[dict[str, Any]], seconds: float) -> str:
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
    return _report(cluster, waiting[0], text) if waiting else f"{text}, and its pods say nothing about it."


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _report(cluster: Cluster, pod: dict[str, Any], reason: str) -> str:
    """Return a reason with the pod's last warnings and the last lines of its log: one screen."""
    name = pod["metadata"]["name"]
    lines = [f"Pod {name}: {reason}"]
    try:
        events = cluster.find("event", fields=f"involvedObject.name={name},type=Warning")
        messages = [event.get("message", "").strip() for event in events]
        lines += [f"  event: {message[:300]}" for message in list(dict.fromkeys(messages))[-3:]]
        lines += [f"  log:   {line[:300]}" for line in _log(cluster, pod)]
    except ClusterError as error:
        lines.append(f"  (events and log cannot be read: {error})")
    return "\n".join(lines)


def _log(cluster: Cluster, pod: dict[str, Any]) -> list[str]:
    """Return the last lines of the container that is to blame; those of its last end if there was one."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if container.get("ready") or not (container.get("restartCount") or "running" in container.get("state", {})):
            continue
        for previous in (True, False) if container.get("restartCount") else (False,):
            try:
                name = pod["metadata"]["name"]
                if text := cluster.log(name, container["name"], LOG_LINES, previous=previous):
                    return text.splitlines()
            except ClusterError:
                continue
    return []
