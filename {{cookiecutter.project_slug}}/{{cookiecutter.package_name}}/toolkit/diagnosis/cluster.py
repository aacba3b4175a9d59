"""Access to the cluster: it answers, and this user may do what `make deploy` does."""

from __future__ import annotations

from collections.abc import Iterator

from ..common.findings import Finding, error, ok
from ..release.targets.kubernetes.kubectl import Kubectl

#: What every overlay has.
KINDS = ("deployments.apps", "services", "configmaps")
VERBS = ("create", "patch")


def check(context: str, namespace: str) -> Iterator[Finding]:
    """Check the cluster of a context of kubectl, and the rights in a namespace."""
    kubectl = Kubectl(context, namespace)
    version = ".".join(map(str, kubectl.check()))
    denied = [
        f"{verb} {kind}"
        for kind in KINDS
        for verb in VERBS
        # It ends with 1 for "no".
        if kubectl.run("auth", "can-i", verb, kind, codes=(0, 1)).strip() != "yes"
    ]
    if denied:
        yield error(
            f"this user may not {', '.join(denied)} in namespace {kubectl.namespace}: ask the cluster's administrator "
            "for the role `edit` there"
        )
    else:
        yield ok(f"Kubernetes {version}, namespace {kubectl.namespace}")
