"""A stand-in for the API server of Kubernetes, for machines without one: it answers kubectl.

It keeps objects, answers discovery, server-side apply, lists, creation, replacement, deletion, events and logs, and
moves Deployments as the controllers would. It holds no schemas and no owners of fields, and merges only what the
reconciler applies: whether manifests are right, a real cluster says.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from titanic_survival.toolkit.release.store import Release

KINDS = {
    "v1": ["ConfigMap", "Event", "Namespace", "Pod", "ResourceQuota", "Service", "ServiceAccount"],
    "apps/v1": ["Deployment", "ReplicaSet"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "batch/v1": ["CronJob"],
    "coordination.k8s.io/v1": ["Lease"],
    "networking.k8s.io/v1": ["Ingress", "NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
}
GIVEN = ("name", "namespace", "labels", "annotations")

Object = dict[str, Any]


def plural(kind: str) -> str:
    """Return the name of a kind in paths."""
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"


class StandIn:
    """The objects of one namespace, and what is wrong with the cluster."""

    def __init__(self, namespace: str, images: set[str]) -> None:
        self.namespace, self.images = namespace, images
        self.version = ("1", "36")
        self.requests: list[str] = []
        #: What its user may not do, as "patch deployments".
        self.denied: set[str] = set()
        #: What its pods say that they serve.
        self.release: Release | None = None
        #: Cleared, it keeps every request waiting.
        self.answering = threading.Event()
        #: By kind and name.
        self.objects: dict[tuple[str, str], Object] = {}
        self._good: dict[str, str] = {}
        self._count = 0
        self._lock = threading.Lock()

    def put(self, kind: str, name: str, content: Object) -> Object | None:
        """Make or replace an object, unless another resource version is there: then there is nothing to return."""
        with self._lock:
            old = self.objects.get((kind, name))
            if (old or {}).get("metadata", {}).get("resourceVersion") != content["metadata"].get("resourceVersion"):
                return None
            self._count += 1
            new = content | {"metadata": content["metadata"] | {"resourceVersion": str(self._count)}}
            self.objects[kind, name] = new
            return new

    def apply(self, kind: str, name: str, manifest: Object, dry: bool, merge: bool = False) -> Object:
        """Replace what a manifest says, and return the object."""
        old = self.objects.get((kind, name), {})
        if merge:
            manifest = merged(old, manifest)
        changed = {key: value for key, value in old.items() if key != "status"} | {
            key: value for key, value in manifest.items() if key != "metadata"
        }
        metadata = old.get("metadata", {}) | {k: v for k, v in manifest["metadata"].items() if k in GIVEN}
        self._count += 1
        same = old and all(old.get(key) == value for key, value in manifest.items() if key not in ("metadata", "spec"))
        same = same and manifest.get("spec", {}).items() <= old.get("spec", {}).items()
        if same and metadata == old["metadata"]:
            return old
        generation = metadata.get("generation", 0) + (not same)
        metadata |= {"namespace": self.namespace, "uid": f"{kind}-{name}", "generation": generation}
        metadata |= {"resourceVersion": str(self._count), "creationTimestamp": "2026-01-01T00:00:00Z"}
        new = changed | {"metadata": metadata}
        if kind == "Deployment":
            new["spec"] = {"replicas": old.get("spec", {}).get("replicas", 1)} | new["spec"]
        if not dry:
            self.objects[kind, name] = new
            if kind == "Deployment":
                self._move(new)
        return new

    def delete(self, kind: str, name: str) -> Object | None:
        """Delete an object, and all that a Deployment owns."""
        if kind == "Deployment":
            self._disown()
            self._good.clear()
        return self.objects.pop((kind, name), None)

    def _disown(self, good: str = "") -> None:
        for key, owned in list(self.objects.items()):
            if key[0] in ("ReplicaSet", "Pod", "Event") and (not good or good not in owned["metadata"]["name"]):
                del self.objects[key]

    def _move(self, deployment: Object) -> None:
        """Make of a Deployment what the controllers would: pods of the new template beside the last that were good."""
        name, generation = deployment["metadata"]["name"], deployment["metadata"]["generation"]
        template = deployment["spec"]["template"]
        found = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:9]
        self._disown(self._good.get(name, "none"))
        annotations = {"deployment.kubernetes.io/revision": str(generation)}
        deployment["metadata"].setdefault("annotations", {}).update(annotations)
        labels = template["metadata"]["labels"] | {"pod-template-hash": found}
        owner = {"name": f"{name}-{found}", "namespace": self.namespace, "labels": labels, "uid": found}
        owners = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}]
        self.objects["ReplicaSet", owner["name"]] = {
            "metadata": owner | {"annotations": annotations, "ownerReferences": owners}
        }
        before, status = name in self._good and self._good[name] != found, self._pod(template)
        made = "denied" not in status
        if made:
            pod = owner | {"name": f"{name}-{found}-abcde", "uid": f"pod-{found}"}
            self.objects["Pod", pod["name"]] = {"metadata": pod, "spec": template["spec"], "status": status}
            for message in status.pop("events", []):
                event = {"involvedObject": {"name": pod["name"]}, "type": "Warning", "message": message}
                self.objects["Event", f"{pod['name']}.1"] = event | {"metadata": {"name": f"{pod['name']}.1"}}
        ready = made and any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])
        if ready:
            self._good[name] = found
            self._disown(found)
        replicas = {"replicas": 1 if ready else made + before, "updatedReplicas": int(made)}
        denied = [{"type": "ReplicaFailure", "status": "True", "message": status["denied"]}] if not made else []
        deployment["status"] = replicas | {
            "observedGeneration": generation,
            "availableReplicas": int(ready or before),
            "conditions": denied,
        }

    def _pod(self, template: Object) -> Object:
        """Return the status of a pod of a template, or why there is none."""
        container = template["spec"]["containers"][0]
        environment = {item["name"]: item.get("value") for item in container.get("env", [])}
        state: Object = {"name": container["name"], "ready": False, "restartCount": 0, "state": {"running": {}}}
        status: Object = {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [state]}
        quotas = [o for (kind, _), o in self.objects.items() if kind == "ResourceQuota"]
        if any(quota["spec"]["hard"].get("pods") == "0" for quota in quotas):
            return {"denied": f'pods "{container["name"]}" is forbidden: exceeded quota: none, requested: pods=1'}
        if container["image"] not in self.images:
            words = f'Back-off pulling image "{container["image"]}"'
            state["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": words}}
            status["events"] = [f'Failed to pull image "{container["image"]}": not found']
        elif environment.get("STORE") == "/nowhere":
            state["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
            state["restartCount"] = 1
            state["log"] = "Error: /nowhere holds no release to serve.\n"
        elif container["readinessProbe"]["httpGet"]["path"] != "/readyz":
            status["events"] = ["Readiness probe failed: HTTP probe failed with statuscode: 404"]
        else:
            status["conditions"] = [{"type": "Ready", "status": "True"}]
            state["ready"] = True
        return status


def merged(old: Any, new: Any) -> Any:
    """Return an object with the fields of another; items of lists are told apart by their names."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        changes = {item["name"]: item for item in new}
        return [merged(item, changes.get(item["name"], {})) for item in old]
    return new


class Handler(BaseHTTPRequestHandler):
    """Answers kubectl, and in the service's stead the golden request."""

    protocol_version = "HTTP/1.1"
    # Head and body are two packets; without this the second waits 40 ms for the first to be acknowledged.
    disable_nagle_algorithm = True
    stand_in: StandIn

    def do_GET(self) -> None:
        """Answer discovery, objects, lists and logs."""
        path, query = self._address()
        kind, name, part = self._object(path)
        if path == "/version":
            major, minor = self.stand_in.version
            self._answer(200, {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor.rstrip('+')}.0"})
        elif path == "/model" and self.stand_in.release:
            self._answer(200, _model(self.stand_in.release))
        elif path == "/api":
            self._answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            self._answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(a) for a in _groups()]})
        elif path.startswith("/openapi/v3"):
            self._answer(200, _openapi(path.removeprefix("/openapi/v3").strip("/")))
        elif (api := _api(path)) in KINDS:
            self._answer(200, _resources(api))
        elif part == "log":
            states = self.stand_in.objects["Pod", name]["status"]["containerStatuses"]
            self._send(200, states[0].get("log", "").encode(), "text/plain")
        elif kind and name:
            self._found(kind, name, self.stand_in.objects.get((kind, name)))
        elif kind:
            items = [_typed(kind, o) for (k, _), o in list(self.stand_in.objects.items()) if k == kind]
            items = [item for item in items if _selected(item, query)]
            self._answer(200, {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items})
        else:
            self._status(404, "NotFound", f"{path} not found")

    def do_PATCH(self) -> None:
        """Apply an object."""
        path, query = self._address()
        kind, name, _ = self._object(path)
        manifest = yaml.safe_load(self._body())
        merge = query["fieldManager"] == ["make-sync"]
        self._found(kind, name, self.stand_in.apply(kind, name, manifest, "dryRun" in query, merge))

    def do_PUT(self) -> None:
        """Make or replace an object."""
        kind, name, _ = self._object(self._address()[0])
        content = json.loads(self._body())
        name = name or content["metadata"]["name"]
        found = self.stand_in.put(kind, name, content)
        if found is None:
            self._status(409, "Conflict", f'{plural(kind)} "{name}": the object has been modified')
        else:
            self._answer(200, _typed(kind, found))

    def do_DELETE(self) -> None:
        """Delete an object."""
        kind, name, _ = self._object(self._address()[0])
        self._body()
        self._found(kind, name, self.stand_in.delete(kind, name))

    def do_POST(self) -> None:
        """Make an object, say what the user may do, or answer rows with predictions of the version asked for.

        A Deployment may say that they fail.
        """
        if "/namespaces/" in self.path:
            self.do_PUT()
            return
        if "/selfsubjectaccessreviews" in self.path:
            review = json.loads(self._body())
            asked = review["spec"]["resourceAttributes"]
            allowed = f"{asked['verb']} {asked['resource']}" not in self.stand_in.denied
            self._answer(201, review | {"status": {"allowed": allowed}})
            return
        rows = json.loads(self._body())
        version = int(urlsplit(self.path).path.split("/")[2])
        if any("GOLDEN" in json.dumps(o) for (kind, _), o in self.stand_in.objects.items() if kind == "Deployment"):
            self._answer(500, {"error": "the model fell over"})
        else:
            self._answer(200, [{"version": version} for _ in rows])

    def handle_one_request(self) -> None:
        """Answer once the cluster does."""
        self.stand_in.answering.wait()
        super().handle_one_request()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.stand_in.requests.append(f"{self.command}{' dry' if 'dryRun' in query else ''} {parts.path}")
        return parts.path, query

    def _object(self, path: str) -> tuple[str, str, str]:
        """Return kind, name and subresource that a path leads to, each "" without it."""
        _, found, rest = path.partition(f"/namespaces/{self.stand_in.namespace}/")
        names = {plural(kind): kind for kinds in KINDS.values() for kind in kinds}
        resource, name, part = (*rest.split("/"), "", "")[:3]
        return (names.get(resource, ""), name, part) if found else ("", "", "")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _found(self, kind: str, name: str, found: Object | None) -> None:
        if found is None:
            self._status(404, "NotFound", f'{plural(kind)} "{name}" not found')
        else:
            self._answer(200, _typed(kind, found))

    def _answer(self, status: int, content: Any) -> None:
        if "Impersonate-User" in self.headers and "/namespaces/" in self.path:
            content = f'User "{self.headers["Impersonate-User"]}" cannot {self.command.lower()} resource {self.path}'
            self._status(403, "Forbidden", f"forbidden: {content}")
        else:
            self._send(status, json.dumps(content).encode(), "application/json")

    def _status(self, status: int, reason: str, message: str) -> None:
        content = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        content |= {"reason": reason, "message": message, "metadata": {}}
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(stand_in: StandIn) -> Iterator[int]:
    """Answer for a stand-in, and return the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"stand_in": stand_in}))
    stand_in.answering.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        stand_in.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _model(release: Release) -> Object:
    """Return what `GET /model` answers of a release."""
    versions = [
        {"version": number, "aliases": aliases, "digest": release.digests.get(number, "")}
        for number, aliases in release.versions.items()
    ]
    content = release.model_dump(mode="json", include={"model", "champion", "shadows"})
    traffic = release.weights or {release.champion: 100}
    return content | {"versions": versions, "traffic": traffic, "released": release.created.isoformat()}


def _groups() -> list[str]:
    return [api for api in KINDS if "/" in api]


def _group(api: str) -> Object:
    version = {"groupVersion": api, "version": api.split("/")[1]}
    return {"name": api.split("/")[0], "versions": [version], "preferredVersion": version}


def _api(path: str) -> str:
    return path.removeprefix("/apis/").removeprefix("/api/")


def _resources(api: str) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "watch"]
    resources = [
        {
            "name": plural(kind),
            "singularName": kind.lower(),
            "namespaced": True,
            "kind": kind,
            "verbs": verbs,
        }
        for kind in KINDS[api]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}


def _openapi(path: str) -> Object:
    """Return the document that lists, or that of one API: only what says that the server checks fields itself."""
    if not path:
        documents = {f"{'apis' if '/' in api else 'api'}/{api}": api for api in KINDS}
        return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in documents}}
    api = _api(f"/{path}")
    group, _, version = api.rpartition("/")
    paths = {
        f"/{path}/namespaces/{{namespace}}/{plural(kind)}/{{name}}": {
            "patch": {
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
                "responses": {},
            }
        }
        for kind in KINDS[api]
    }
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "1"}, "paths": paths}


def _typed(kind: str, content: Object) -> Object:
    api = next(api for api, kinds in KINDS.items() if kind in kinds)
    return {"apiVersion": api, "kind": kind} | content


def _selected(item: Object, query: dict[str, list[str]]) -> bool:
    labels = item["metadata"].get("labels", {})
    wanted = dict(pair.split("=") for pair in ",".join(query.get("labelSelector", [])).split(",") if pair)
    fields = dict(pair.split("=") for pair in ",".join(query.get("fieldSelector", [])).split(",") if pair)
    pod = fields.get("involvedObject.name")
    return wanted.items() <= labels.items() and (not pod or item["involvedObject"]["name"] == pod)
