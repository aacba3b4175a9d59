"""What brings the deployment on a cluster in sync with the registry's release; `sync` and `canary` share it."""

from __future__ import annotations

import os
import shutil
from functools import partial

from .. import config
from ..toolkit.registry.client import connect
from ..toolkit.registry.errors import mlflow_errors
from ..toolkit.release.deployment_history import DeploymentHistory
from ..toolkit.release.image_layers import append_release
from ..toolkit.release.store import Release
from ..toolkit.release.targets.kubernetes.api_server import ApiServer
from ..toolkit.release.targets.kubernetes.cluster import Cluster
from ..toolkit.release.targets.kubernetes.confirmation import confirm
from ..toolkit.release.targets.kubernetes.kubectl import Kubectl
from ..toolkit.release.targets.kubernetes.reconciler import Reconciler
from .access import authorization
from .trust import model_store


def reconciler(settings: config.Settings) -> Reconciler:
    """Return what brings the deployment on a cluster in sync: by kubectl where there is one, otherwise as a pod."""
    uri, name, store = settings.mlflow_tracking_uri, settings.model_name, model_store(settings)
    cluster: Cluster
    if shutil.which("kubectl") is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        # A pod is there to do it: nobody is asked.
        cluster, may_change = ApiServer.of_pod(), None
    else:
        cluster = Kubectl(settings.kubernetes_context, settings.kubernetes_namespace)
        cluster.check()
        may_change = partial(confirm, cluster, given=settings.yes)

    def append(image: str, release: Release) -> str:
        with mlflow_errors(uri):
            run_id = connect(uri, name).get(str(release.champion)).run_id
        return append_release(image, store, release, run_id=run_id)

    return Reconciler(
        cluster,
        config.SERVICE_NAME,
        store,
        partial(DeploymentHistory, uri, name, settings.target),
        append,
        rollout_seconds=settings.rollout_seconds,
        authorization=authorization(settings),
        confirm=may_change,
    )
