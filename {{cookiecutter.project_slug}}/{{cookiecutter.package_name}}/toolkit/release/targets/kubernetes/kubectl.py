"""The client of the cluster: kubectl as a process, with the contexts and credentials that a person has set up."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ....common.errors import UserError
from .cluster import FIELD_MANAGER, REQUEST_SECONDS, ClusterError, ConflictError, Object

#: Seconds that one call of kubectl may take, which makes several requests; and until it forwards a port.
CALL_SECONDS, FORWARD_SECONDS = 120, 20

#: What kubectl writes when it cannot do its work, and what to tell the person.
EXPLANATIONS = (
    (
        r"context \"?([^\"\s]+)\"? does not exist|no context exists with the name: \"([^\"]+)\"",
        "kubectl has no such context. Set KUBERNETES_CONTEXT to one of `kubectl config get-contexts`",
    ),
    (
        r"namespaces \"([^\"]+)\" not found",
        "The namespace does not exist. An administrator of the cluster makes it (`kubectl create namespace ...`), or "
        "KUBERNETES_NAMESPACE names another",
    ),
    (
        r"You must be logged in|Unauthorized|getting credentials|provide credentials",
        "The cluster does not accept the credentials of this context. Log in to the cluster again",
    ),
    (r"exceeded quota", "A quota of the namespace does not allow it. Lower `resources` or replicas, or have it raised"),
    (
        r"admission webhook|violates PodSecurity|ValidatingAdmissionPolicy",
        "The cluster's admission rules do not allow it. Change the manifest, or the rule",
    ),
    (
        r"rolebindings? .*forbidden|roles? .*forbidden|attempting to grant RBAC permissions",
        "The component `reconcile` gives rights away, which this user may not do. Ask the cluster's administrator for "
        "the role `admin` in the namespace",
    ),
    (
        r"\(Forbidden\)|is forbidden",
        "The cluster does not allow this user to do it. Ask its administrator for the role `edit` in the namespace",
    ),
    (
        r"Unable to connect to the server|was refused|no such host|i/o timeout|TLS handshake|deadline exceeded"
        r"|Client\.Timeout|connection reset|ServiceUnavailable|the server is currently unable|no route to host"
        r"|x509|certificate|server gave HTTP response",
        "The cluster cannot be reached. Check network, VPN and the context (`kubectl cluster-info`)",
    ),
)

#: API groups of other projects: no role of Kubernetes has rights on them until an administrator adds some.
FOREIGN = ("gateway.networking.k8s.io", "monitoring.coreos.com", "serving.knative.dev")


class KubectlError(ClusterError):
    """A call of kubectl that failed; `stderr` is what it wrote."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


class Kubectl:
    """Calls kubectl in one context and one namespace; "" stands for those that are current."""

    def __init__(self, context: str = "", namespace: str = "") -> None:
        self.context, self._namespace = context, namespace

    @property
    def namespace(self) -> str:
        """The namespace that calls work in."""
        if not self._namespace:
            view = json.loads(self.run("config", "view", "--minify", "--output", "json"))
            contexts = view.get("contexts") or [{}]
            self._namespace = contexts[0].get("context", {}).get("namespace") or "default"
        return self._namespace

    def command(self, *args: str) -> list[str]:
        """Return a command line of kubectl."""
        binary = shutil.which("kubectl")
        if binary is None:
            raise UserError(
                "kubectl is not installed; it is the client of the target kubernetes. "
                "See https://kubernetes.io/docs/tasks/tools/, and then: kubectl config get-contexts"
            )
        options = [f"--context={self.context}"] if self.context else []
        if self._namespace:
            options.append(f"--namespace={self._namespace}")
        return [binary, *options, *args]

    def run(self, *args: str, stdin: str = "", codes: tuple[int, ...] = (0,)) -> str:
        """Return what a call writes to stdout; `KubectlError` if it ends with another exit code than expected."""
        request_timeout = [] if args[0] in ("kustomize", "config") else [f"--request-timeout={REQUEST_SECONDS}s"]
        try:
            done = subprocess.run(
                self.command(*args, *request_timeout),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
                env=os.environ | {"KUBECTL_EXTERNAL_DIFF": "diff -u -N"},
            )
        except subprocess.TimeoutExpired as error:
            text = f"kubectl {args[0]} did not end within {CALL_SECONDS} s"
            raise KubectlError(f"The cluster does not answer: {text}. Check network and VPN.", text) from error
        if done.returncode in codes:
            return done.stdout
        raise KubectlError(explain(args[0], done.stderr or done.stdout), done.stderr)

    def get(self, *args: str) -> Any:
        """Return objects as the API server has them, None where there is no such object."""
        text = self.run("get", *args, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def find(self, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind that selectors match."""
        found = self.get(kind, f"--selector={labels}", f"--field-selector={fields}")
        return list(found["items"]) if found else []

    def apply(self, manifests: str, *options: str, manager: str = FIELD_MANAGER) -> None:
        """Make objects what manifests say; fields that others set meanwhile are ours again."""
        self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={manager}",
            "--filename=-",
            *options,
            stdin=manifests,
        )

    def put(self, content: Object) -> None:
        """Make an object, or replace the one of its resourceVersion; `ConflictError` if somebody else was faster."""
        verb = "replace" if "resourceVersion" in content["metadata"] else "create"
        try:
            self.run(verb, "--validate=false", "--filename=-", stdin=json.dumps(content))
        except KubectlError as error:
            if re.search(r"\((Conflict|AlreadyExists|NotFound)\)", error.stderr):
                raise ConflictError(str(error)) from error
            raise

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines of a container's log, or of its last end."""
        option = ["--previous"] if previous else []
        return self.run("logs", pod, f"--container={container}", f"--tail={lines}", *option)

    def service(self, name: str) -> AbstractContextManager[str]:
        """Have a port of this machine lead to a Service, and return its URL."""
        return self.forwarded(f"service/{name}")

    @contextmanager
    def forwarded(self, resource: str) -> Iterator[str]:
        """Have a port of this machine lead to the port `http` of a Service or pod, and return its URL."""
        command = self.command("port-forward", resource, ":http", "--address=127.0.0.1")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            yield f"http://127.0.0.1:{_port(process)}"
        finally:
            process.kill()
            process.communicate()

    def check(self) -> tuple[int, int]:
        """Return the version of the cluster; `UserError` if there is no cluster that answers."""
        if not self.context and "KUBERNETES_SERVICE_HOST" not in os.environ:
            try:
                self.run("config", "current-context")
            except KubectlError as error:
                raise UserError(
                    "kubectl has no current context, so no cluster is chosen. Choose one: kubectl config get-contexts, "
                    "then kubectl config use-context NAME, or set KUBERNETES_CONTEXT"
                ) from error
        version = json.loads(self.run("version", "--output=json"))["serverVersion"]
        # Some providers write "31+".
        return int(version["major"]), int(re.sub(r"\D", "", version["minor"]))


def explain(verb: str, stderr: str) -> str:
    """Return a sentence with a cure for what kubectl wrote, and below it the cluster's own words."""
    lines = [line for line in stderr.strip().splitlines() if not re.match(r"[EWI]\d{4} |Warning:", line)]
    # kubectl repeats an error for each object.
    lines = list(dict.fromkeys(lines or stderr.strip().splitlines()))
    words = "\n".join(f"  {line[:500]}" for line in lines[-6:])
    denied = sorted(set(re.findall(r'resource "(\S+)" in API group "([^"]*)"', stderr)))
    if denied and all(group in FOREIGN for _, group in denied):
        kinds = ", ".join(f"{resource}.{group}" for resource, group in denied)
        return (
            "The cluster does not allow this user to do it. The role `edit` has Kubernetes' own kinds alone. Ask the "
            f"cluster's administrator for rights on {kinds} (docs/kubernetes.md has the role), or take their manifests "
            f"out of deploy/kubernetes. kubectl {verb} says:\n{words}"
        )
    for pattern, sentence in EXPLANATIONS:
        if re.search(pattern, stderr):
            return f"{sentence}. kubectl {verb} says:\n{words}"
    return f"kubectl {verb} failed:\n{words}"


def _port(process: subprocess.Popen[bytes]) -> int:
    """Return the port that kubectl listens on."""
    assert process.stdout and process.stderr
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(FORWARD_SECONDS)
    line = process.stdout.readline().decode() if ready else ""
    if match := re.search(r"127\.0\.0\.1:(\d+) ->", line):
        return int(match[1])
    process.kill()
    words = process.stderr.read().decode(errors="replace").strip()
    raise ClusterError(f"kubectl port-forward leads nowhere: {words or 'no answer'}")
