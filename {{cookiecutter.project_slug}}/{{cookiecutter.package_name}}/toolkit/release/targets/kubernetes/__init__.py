"""Target `kubernetes`: the manifests of `deploy/kubernetes` on a cluster, with kubectl as the client."""

from .target import Kubernetes

__all__ = ["Kubernetes"]
