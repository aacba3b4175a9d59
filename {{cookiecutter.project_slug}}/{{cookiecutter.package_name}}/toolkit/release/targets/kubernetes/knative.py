"""Knative Serving in place of a Deployment: whether its Service is ready, where it answers, and why not."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .. import RolloutError
from .cluster import Object
from .kubectl import Kubectl, KubectlError
from .manifests import Manifest

API = "serving.knative.dev/"


def serves(manifests: Iterable[Manifest]) -> bool:
    """Whether Knative runs the service that manifests describe."""
    return any(manifest.api.startswith(API) for manifest in manifests)


def health(kubectl: Kubectl, name: str) -> str:
    """Return "ready", or what keeps the Service from it."""
    found = kubectl.get("ksvc", name)
    if found is None:
        return "the Knative Service is gone; make deploy makes it anew"
    ready, reason = _ready(found)
    return "ready" if ready else reason


def wait(kubectl: Kubectl, name: str, seconds: float) -> str:
    """Wait until the newest revision is ready, and return the URL; `RolloutError` has Knative's reason if it fails."""
    deadline = time.monotonic() + seconds
    ready: bool | None
    while True:
        try:
            found = kubectl.get("ksvc", name)
        except KubectlError as error:
            ready, reason, found = False, str(error), {}
        else:
            if found is None:
                raise RolloutError(f"The Knative Service {name} was deleted while it was rolled out.")
            ready, reason = _ready(found)
        if ready:
            return str(found["status"]["url"])
        if ready is None:
            raise RolloutError(f"Knative cannot run the service: {reason}")
        if time.monotonic() > deadline:
            raise RolloutError(f"The rollout did not end within {seconds:g} s: {reason}")
        time.sleep(1)


def _ready(service: Object) -> tuple[bool | None, str]:
    """Return whether a Service is ready, None if it never will be, and why."""
    status = service.get("status", {})
    if status.get("observedGeneration", 0) < service["metadata"]["generation"]:
        return False, "Knative has not taken the Service yet; is its controller running?"
    ready: Object = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
    reason = f"{ready.get('reason', '')} {ready.get('message', '')}".strip() or "Knative gives no reason"
    return {"True": True, "False": None}.get(ready.get("status", ""), False), reason
