"""The client of the cluster in a pod: the API server itself, with the pod's service account."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from ....common.errors import UserError
from .cluster import FIELD_MANAGER, REQUEST_SECONDS, ClusterError, ConflictError, Object

#: Where Kubernetes puts the token, the namespace and the certificate authority.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: By kind: the path of its API, and its name there.
RESOURCES = {
    "configmap": ("api/v1", "configmaps"),
    "deployment": ("apis/apps/v1", "deployments"),
    "event": ("api/v1", "events"),
    "lease": ("apis/coordination.k8s.io/v1", "leases"),
    "pod": ("api/v1", "pods"),
    "replicaset": ("apis/apps/v1", "replicasets"),
}


class ApiServer:
    """Sends requests to an API server, each with the token that a file has then: Kubernetes renews it."""

    def __init__(self, url: str, namespace: str, token: Path, verify: ssl.SSLContext | bool = True) -> None:
        self._namespace, self._token = namespace, token
        self._client = httpx.Client(base_url=url, verify=verify, timeout=REQUEST_SECONDS, trust_env=False)

    @classmethod
    def of_pod(cls) -> ApiServer:
        """Return the client of the pod that this process runs in; `UserError` if that has no token."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        try:
            namespace = (SERVICE_ACCOUNT / "namespace").read_text()
            verify = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
        except OSError as error:
            raise UserError(
                f"This pod has no token for the API server ({error}). The component `reconcile` has the service "
                "account and the rights that are needed: list it in the overlay"
            ) from error
        address = f"[{host}]" if ":" in host else host
        return cls(f"https://{address}:{port}", namespace, SERVICE_ACCOUNT / "token", verify)

    @property
    def namespace(self) -> str:
        """The pod's own namespace."""
        return self._namespace

    def get(self, kind: str, name: str) -> Any:
        """Return an object as the API server has it, None if there is none."""
        response = self._send("GET", kind, name, missing=True)
        return None if response.status_code == httpx.codes.NOT_FOUND else response.json()

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind that selectors match."""
        response = self._send("GET", kind, params={"labelSelector": labels, "fieldSelector": fields})
        return list(response.json()["items"])

    def apply(self, manifests: str, *, manager: str = FIELD_MANAGER) -> None:
        """Make an object what its manifest, as JSON, says."""
        content = json.loads(manifests)
        params = {"fieldManager": manager, "force": "true"}
        kind, name = content["kind"].lower(), content["metadata"]["name"]
        self._send("PATCH", kind, name, params=params, body=content, media_type="application/apply-patch+yaml")

    def put(self, content: Object) -> None:
        """Make an object, or replace the one of its resourceVersion; `ConflictError` if somebody else was faster."""
        kind, metadata = content["kind"].lower(), content["metadata"]
        if "resourceVersion" in metadata:
            self._send("PUT", kind, metadata["name"], body=content)
        else:
            self._send("POST", kind, body=content)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines of a container's log, or of its last end."""
        params = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        return self._send("GET", "pod", f"{pod}/log", params=params).text

    @contextmanager
    def service(self, name: str) -> Iterator[str]:
        """Return the URL of a Service, as the names of the cluster have it."""
        yield f"http://{name}.{self._namespace}.svc"

    def _send(
        self,
        method: str,
        kind: str,
        name: str = "",
        *,
        params: dict[str, str] | None = None,
        body: Object | None = None,
        media_type: str = "application/json",
        missing: bool = False,
    ) -> httpx.Response:
        """Return the response; `missing` allows that there is no such object."""
        api, plural = RESOURCES[kind]
        path = f"/{api}/namespaces/{self._namespace}/{plural}{f'/{name}' if name else ''}"
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            if body is not None:
                headers["Content-Type"] = media_type
            content = None if body is None else json.dumps(body)
            response = self._client.request(method, path, params=params, content=content, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            text = str(error) or type(error).__name__
            raise ClusterError(f"The API server of the cluster does not answer ({method} {path}): {text}") from error
        if response.is_success or (missing and response.status_code == httpx.codes.NOT_FOUND):
            return response
        raise _error(f"{method} {kind} {name}".strip(), response)


def _error(request: str, response: httpx.Response) -> ClusterError:
    """Return what a response with an error means, with the API server's own words."""
    try:
        words = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        words = response.text[:500]
    text = f"{request}: {response.status_code} {words}"
    if response.status_code in (httpx.codes.CONFLICT, httpx.codes.NOT_FOUND):
        return ConflictError(f"Somebody else changed the object meanwhile: {text}")
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return ClusterError(
            "The cluster does not allow this service account to do it. The component `reconcile` has the rights that "
            f"are needed: list it in the overlay, and deploy again. The API server says: {text}"
        )
    return ClusterError(f"The API server says: {text}")
