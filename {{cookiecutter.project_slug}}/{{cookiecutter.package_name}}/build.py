"""Build: package the service and the versions it serves, as a Bento and as a container image."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from pathlib import Path

from . import config
from .shared import container_image
from .shared.trust import model_store
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION
from .toolkit.release import image, lock_environment
from .toolkit.release.container_engine import find_engine
from .toolkit.release.reconcile import pull_release
from .toolkit.release.started_bento import started_bento
from .toolkit.release.startup_check import Built
from .toolkit.release.store import Release
from .toolkit.release.targets.kubernetes.manifests import names_image

#: Has the setting IMAGE of the image that was pushed last; a pipeline hands it to the jobs that deploy.
IMAGE_FILE = config.ROOT / "build" / "image.env"
#: Environments in which Bentos are started once, by their lock.
ENVIRONMENTS = config.ROOT / "build" / "environments"


def run(settings: config.Settings, *, push: bool = False, rebuild: bool = False) -> None:
    """Pull the registry's release, and package it; `push` publishes the image, which `rebuild` builds in any case."""
    if settings.store != config.ROOT / "store":
        raise UserError(
            f"STORE is {settings.store}, but a Bento contains the project's own store: leave STORE unset to build"
        )
    if push:
        container_image.check_names_registry(settings)
    engine = find_engine(settings.container_engine)
    store = model_store(settings)
    release = pull_release(settings.mlflow_tracking_uri, settings.model_name, store)
    # First, since it is started everywhere: an image only where an engine can run it.
    bento = _build_bento(settings, release)
    name = ""
    if push:
        name = container_image.publish(settings, store, release, rebuild=rebuild)
        IMAGE_FILE.parent.mkdir(exist_ok=True)
        IMAGE_FILE.write_text(f"IMAGE={name}\n", encoding="utf-8")
        if settings.target == "kubernetes" and _components_train(settings):
            container_image.publish_full(settings, rebuild=rebuild)
    elif engine:
        name = container_image.build(settings, engine, store, release).name
    else:
        console.say("No image: neither docker (with its daemon) nor podman nor buildah works here.")
    steps = [
        (f".venv/bin/bentoml serve {bento}", "serve the Bento here"),
        (f".venv/bin/bentoml export {bento} .", "write it to a single file, to serve it elsewhere"),
    ]
    if name:
        runner = engine.name if engine else "docker"
        steps.insert(0, (f"{runner} run --rm --read-only --tmpfs /tmp -p 3000:3000 {name}", "run the image"))
    console.next_steps(*steps)


def _components_train(settings: config.Settings) -> bool:
    """Whether components of the overlay run commands other than `serve`, from an image with their libraries."""
    if shutil.which("kubectl") is None:
        console.say("Without kubectl, images that only components of the overlay run are built by make deploy.")
        return False
    return names_image(config.ROOT, settings.kubernetes_overlay, f"{config.SERVICE_NAME}-{image.FULL_ENVIRONMENT}")


def _build_bento(settings: config.Settings, release: Release) -> str:
    """Package a release of the project's own store as a Bento, start it once, and return its tag."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    with console.step("bento") as step:
        import bentoml

        os.chdir(config.ROOT)  # BentoML takes relative paths only
        store = model_store(settings)
        lock = f"requirements/{image.environment(store, release)}.lock"
        # BentoML imports it too, but would hide what a mistake in it raises.
        import_module(f"{config.PACKAGE}.service")
        bento = bentoml.build(
            f"{config.PACKAGE}.service:Service",
            # Anchored: a name alone would match in every folder, those of the environment among them.
            include=["/setup.py", "/README.md", f"/{lock}", f"/{config.PACKAGE}/**", "/store/release.json"]
            + [f"/store/versions/{number}/*" for number in release.versions],
            exclude=["__pycache__/", "*.py[co]"],
            labels={"model": release.model, CHAMPION: str(release.champion)},
            python={"requirements_txt": lock, "lock_packages": False},
        )
        try:
            python = lock_environment.python_of(config.ROOT / lock, ENVIRONMENTS, step.progress)
            step.progress("starting it once")
            built = Built("The Bento", lock, config.PACKAGE, store, release)
            with started_bento(python, Path(bento.path), config.Settings.model_fields) as started:
                step.detail = f"{bento.tag}, {built.check(started, step.progress)}"
        except BaseException:
            # What cannot start must not be what bentoml takes as the latest.
            bentoml.delete(bento.tag)
            raise
    return str(bento.tag)
