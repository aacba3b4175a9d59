"""The URL of a deployment, as far as the cluster says it."""

from __future__ import annotations

import shlex
from typing import Any

from . import knative
from .kubectl import Kubectl, KubectlError
from .manifests import Manifest


def find(kubectl: Kubectl, name: str, manifests: list[Manifest]) -> str:
    """Return the URL of the route or the Ingress; without either, that of the Service inside the cluster."""
    kinds = {manifest.kind for manifest in manifests}
    try:
        if "HTTPRoute" in kinds and (url := _route(kubectl, name)):
            return url
        if "Ingress" in kinds and (url := _ingress(kubectl, name)):
            return url
        if "Service" in kinds and knative.serves(manifests):
            return str(kubectl.get("ksvc", name)["status"]["url"])
    except (KubectlError, KeyError, IndexError, TypeError):
        pass
    return _internal(kubectl, name)


def hint(kubectl: Kubectl, name: str, url: str) -> str:
    """Return how to call a service whose URL nobody outside the cluster can use, "" for another URL."""
    if url != _internal(kubectl, name):
        return ""
    command = shlex.join(kubectl.command("port-forward", f"service/{name}", "3000:80")[1:])
    return (
        f"{url} is known inside the cluster alone: the cluster does not say where its gateway or ingress answers. "
        f"From this machine: kubectl {command}, then http://127.0.0.1:3000"
    )


def route_problem(kubectl: Kubectl, name: str, manifests: list[Manifest]) -> str:
    """Return why the HTTPRoute leads no request to the service, "" if it does or there is none."""
    if not any(manifest.kind == "HTTPRoute" for manifest in manifests):
        return ""
    try:
        found = kubectl.get("httproute", name)
    except KubectlError as error:
        return str(error)
    if found is None:
        return "the HTTPRoute is gone; make deploy makes it anew"
    parents = found.get("status", {}).get("parents", [])
    for parent in parents:
        for condition in parent.get("conditions", []):
            if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] == "False":
                return f"Gateway {parent['parentRef']['name']} does not take it: {condition.get('message', '')}"
    wanted = ", ".join(parent["name"] for parent in found["spec"]["parentRefs"])
    return "" if parents else f"no controller has taken it; is there a Gateway {wanted}, which the overlay names?"


def _internal(kubectl: Kubectl, name: str) -> str:
    return f"http://{name}.{kubectl.namespace}.svc"


def _route(kubectl: Kubectl, name: str) -> str:
    spec = kubectl.get("httproute", name)["spec"]
    path = spec["rules"][0]["matches"][0]["path"]["value"]
    parent = spec["parentRefs"][0]
    gateway = kubectl.get("gateway", parent["name"], "--namespace", parent.get("namespace", kubectl.namespace))
    if gateway is None:
        return ""
    listener = gateway["spec"]["listeners"][0]
    host = (spec.get("hostnames") or [listener.get("hostname", "")])[0]
    if not host or host.startswith("*"):
        host = gateway["status"]["addresses"][0]["value"]
    return _url("https" if listener["protocol"] in ("HTTPS", "TLS") else "http", host, listener["port"], path)


def _ingress(kubectl: Kubectl, name: str) -> str:
    ingress = kubectl.get("ingress", name)
    rule: dict[str, Any] = ingress["spec"]["rules"][0]
    balancer = ingress["status"]["loadBalancer"]["ingress"][0]
    host = rule.get("host") or balancer.get("hostname") or balancer["ip"]
    secure = bool(ingress["spec"].get("tls"))
    return _url("https" if secure else "http", host, 443 if secure else 80, rule["http"]["paths"][0]["path"])


def _url(scheme: str, host: str, port: int, path: str) -> str:
    default = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}{'' if port == default else f':{port}'}{path}"
