"""Build: package the service and the versions it serves, as a Bento and as a container image."""

from __future__ import annotations

import os
import shlex

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release import image
from .toolkit.release.container_engine import Engine, Image, find_engine
from .toolkit.release.reconcile import pull_release
from .toolkit.release.store import Release, Store


def run(settings: config.Settings, *, push: bool = False) -> None:
    """Pull the registry's release, and package it; `push` sends the image to its registry."""
    if settings.store != config.ROOT / "store":
        raise UserError(
            f"STORE is {settings.store}, but a Bento contains the project's own store: leave STORE unset to build"
        )
    engine = find_engine(settings.container_engine)
    if push:
        _check_push(settings, engine)
    store = Store(settings.store)
    release = pull_release(settings.mlflow_tracking_uri, settings.model_name, store)
    bento = _build_bento(settings, release)
    steps = [
        (f".venv/bin/bentoml serve {bento}", "serve the Bento here"),
        (f".venv/bin/bentoml export {bento} .", "write it to a single file, to serve it elsewhere"),
    ]
    if engine:
        built = _build_image(settings, engine, store, release)
        steps.insert(0, (f"{engine.name} run --rm --read-only --tmpfs /tmp -p 3000:3000 {built.name}", "run the image"))
        if push:
            with console.step("push") as step:
                step.detail = f"{settings.image_repository}@{engine.push(built.name, step.progress)}"
    else:
        console.say("No image: neither docker (with its daemon) nor podman nor buildah works here.")
    console.next_steps(*steps)


def _check_push(settings: config.Settings, engine: Engine | None) -> None:
    if engine is None:
        raise UserError("There is no image to push: install docker, podman or buildah, or start docker's daemon.")
    if "/" not in settings.image_repository:
        raise UserError(
            f"IMAGE_REPOSITORY {settings.image_repository!r} names no registry to push to: write, for example, "
            f"registry.example.com/team/{config.SERVICE_NAME}"
        )


def _build_bento(settings: config.Settings, release: Release) -> str:
    """Package a release of the project's own store as a Bento, and return its tag."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    with console.step("bento") as step:
        import bentoml

        os.chdir(config.ROOT)  # BentoML takes relative paths only
        lock = f"requirements/{image.environment(Store(settings.store), release)}.lock"
        bento = bentoml.build(
            f"{config.PACKAGE}.service:Service",
            # Anchored: a name alone would match in every folder, those of the environment among them.
            include=["/setup.py", "/README.md", f"/{lock}", f"/{config.PACKAGE}/**/*.py", "/store/release.json"]
            + [f"/store/versions/{number}/*" for number in release.versions],
            labels={"model": release.model, CHAMPION: str(release.champion)},
            python={"requirements_txt": lock, "lock_packages": False},
        )
        step.detail = str(bento.tag)
    return str(bento.tag)


def _build_image(settings: config.Settings, engine: Engine, store: Store, release: Release) -> Image:
    with mlflow_errors(settings.mlflow_tracking_uri):
        champion = connect(settings.mlflow_tracking_uri, settings.model_name).get(str(release.champion))
    project = image.Project(
        config.ROOT,
        config.PACKAGE,
        settings.image_repository,
        config.PROJECT_NAME,
        config.DESCRIPTION,
        config.AUTHOR,
    )
    with console.step("image") as step:
        built = image.build(
            project,
            engine,
            store,
            release,
            run_id=champion.run_id,
            base_image=settings.base_image,
            options=shlex.split(settings.container_build_args),
            progress=step.progress,
        )
        step.detail = f"{built.name}, {built.size / 1e6:.0f} MB, {built.id[:19]}"
    return built
