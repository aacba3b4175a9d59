"""The targets that the setting TARGET can name, made from the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .. import config
from ..toolkit.release.image import FULL_ENVIRONMENT
from ..toolkit.release.targets import Target
from ..toolkit.release.targets.docker import Docker, Service
from ..toolkit.release.targets.kubernetes import Kubernetes
from ..toolkit.release.targets.local import Local
from . import aws_targets, container_image
from .access import authorization
from .trust import model_store


def target(settings: config.Settings) -> Target:
    """Return the target that TARGET names."""
    return TARGETS[settings.target](settings)


def _kubernetes(settings: config.Settings) -> Target:
    return Kubernetes(
        config.ROOT,
        config.SERVICE_NAME,
        model_store(settings),
        settings.image,
        build=lambda: container_image.deployable(settings),
        parts={FULL_ENVIRONMENT: lambda: container_image.publish_full(settings)},
        overlay=settings.kubernetes_overlay,
        context=settings.kubernetes_context,
        namespace=settings.kubernetes_namespace,
        rollout_seconds=settings.rollout_seconds,
        confirmed=settings.yes,
        authorization=authorization(settings),
    )


def _local(settings: config.Settings) -> Target:
    return Local(
        config.ROOT,
        config.PACKAGE,
        model_store(settings),
        settings.bind_address,
        settings.port,
        _fingerprint(settings),
        authorization(settings),
    )


def _docker(settings: config.Settings) -> Target:
    environment, mounts = container_image.service_options(settings)
    return Docker(
        model_store(settings),
        Service(
            config.SERVICE_NAME,
            settings.bind_address,
            settings.port,
            environment,
            mounts,
            authorization(settings),
        ),
        container_image.engine_to_run(settings),
        image=lambda: container_image.runnable(settings),
        image_name=lambda release: container_image.expected_name(settings, release),
        log_folder=settings.log_folder,
    )


def _fingerprint(settings: config.Settings) -> str:
    """Return a hash that changes with the code and the settings of the service."""
    total = hashlib.sha256(settings.model_dump_json().encode())
    for path in sorted((config.ROOT / config.PACKAGE).rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


#: By the value of the setting TARGET.
TARGETS: dict[str, Callable[[config.Settings], Target]] = {
    "local": _local,
    "docker": _docker,
    "kubernetes": _kubernetes,
    "sagemaker": aws_targets.sagemaker,
    "lambda": aws_targets.function,
}
