"""The URL of a deployment, as far as the cluster says it."""

from __future__ import annotations

from typing import Any

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
        if "Service" in kinds and any(manifest.api.startswith("serving.knative.dev/") for manifest in manifests):
            return str(kubectl.get("ksvc", name)["status"]["url"])
    except (KubectlError, KeyError, IndexError, TypeError):
        pass
    return f"http://{name}.{kubectl.namespace}.svc"


def _route(kubectl: Kubectl, name: str) -> str:
    spec = kubectl.get("httproute", name)["spec"]
    path = spec["rules"][0]["matches"][0]["path"]["value"]
    parent = spec["parentRefs"][0]
    gateway = kubectl.get("gateway", parent["name"], "--namespace", parent.get("namespace", kubectl.namespace))
    if gateway is None:
        return ""
    listener = gateway["spec"]["listeners"][0]
    host = (spec.get("hostnames") or [listener.get("hostname")])[0] or gateway["status"]["addresses"][0]["value"]
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
