"""Access to the cluster: it answers, and this user may do what `make deploy` does."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..common.findings import Finding, error, ok
from ..release.targets.kubernetes.kubectl import Kubectl

#: Groups and resources of what every overlay has.
RESOURCES = (("apps", "deployments"), ("", "services"), ("", "configmaps"))
VERBS = ("create", "patch")
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check(context: str, namespace: str) -> Iterator[Finding]:
    """Check the cluster of a context of kubectl, and the rights in a namespace."""
    kubectl = Kubectl(context, namespace)
    version = ".".join(map(str, kubectl.check()))
    asked = [(verb, group, resource) for verb in VERBS for group, resource in RESOURCES]
    denied = [f"{verb} {resource}" for verb, group, resource in asked if not _may(kubectl, verb, group, resource)]
    if denied:
        yield error(
            f"this user may not {', '.join(denied)} in namespace {kubectl.namespace}: ask the cluster's administrator "
            "for the role `edit` there"
        )
    else:
        yield ok(f"Kubernetes {version}, namespace {kubectl.namespace}")


def _may(kubectl: Kubectl, verb: str, group: str, resource: str) -> bool:
    attributes = {"namespace": kubectl.namespace, "verb": verb, "group": group, "resource": resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    # `auth can-i` ends with 1 for "no" and for a failure alike.
    answer = json.loads(kubectl.run("create", f"--raw={REVIEWS}", "--filename=-", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])
