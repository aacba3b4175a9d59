"""This project's container image: built from its settings, and pushed to its registry."""

from __future__ import annotations

import shlex

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.registry.client import connect
from .toolkit.registry.errors import mlflow_errors
from .toolkit.release import image
from .toolkit.release.container_engine import Engine, Image, find_engine
from .toolkit.release.store import Release, Store
from .toolkit.training import provenance


def build(settings: config.Settings, engine: Engine, store: Store, release: Release) -> Image:
    """Build the image of a release that the store holds."""
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
            options=_options(settings),
            progress=step.progress,
        )
        step.detail = f"{built.name}, {built.size / 1e6:.0f} MB, {built.id[:19]}"
    return built


def name(settings: config.Settings, release: Release) -> str:
    """Return the name of the image that `build` makes of a release and the commit checked out."""
    return f"{settings.image_repository}:{image.tag(release, provenance.commit(config.ROOT))}"


def _options(settings: config.Settings) -> list[str]:
    try:
        return shlex.split(settings.container_build_args)
    except ValueError as error:
        text = f"CONTAINER_BUILD_ARGS {settings.container_build_args!r} cannot be split into options: {error}"
        raise UserError(f"{text}. Quote it as for a shell.") from error


def push(settings: config.Settings, engine: Engine, built: Image) -> str:
    """Push an image to its registry, and return its name there, by digest."""
    with console.step("push") as step:
        step.detail = f"{settings.image_repository}@{engine.push(built.name, step.progress)}"
    return step.detail


def login(settings: config.Settings) -> None:
    """Log in to the image registry with the engine that builds and pushes; without a user, nothing is to be done."""
    engine = engine_to_push(settings)
    registry = settings.image_repository.partition("/")[0]
    with console.step("login") as step:
        if not settings.registry_username:
            step.detail = f"REGISTRY_USERNAME is not set; {engine.name}'s own credentials for {registry} are used"
            return
        engine.login(registry, settings.registry_username, settings.registry_password.get_secret_value())
        step.detail = f"{registry}, as {settings.registry_username}"


def engine_to_push(settings: config.Settings) -> Engine:
    """Return an engine that can build and push; `UserError` if there is none, or no registry to push to."""
    if "/" not in settings.image_repository:
        raise UserError(
            f"IMAGE_REPOSITORY {settings.image_repository!r} names no registry to push to: write, for example, "
            f"registry.example.com/team/{config.SERVICE_NAME}"
        )
    engine = find_engine(settings.container_engine)
    if engine is None:
        raise UserError("There is no image to push: install docker, podman or buildah, or start docker's daemon.")
    return engine


def deployable(settings: config.Settings) -> str:
    """Return the image to deploy beyond this machine, by digest: that of IMAGE, else one that is built and pushed.

    `UserError` if the code is not committed, since nobody could tell later what runs.
    """
    if settings.image:
        return settings.image
    engine, commit = engine_to_push(settings), provenance.commit(config.ROOT)
    if commit == "none" or commit.endswith("-dirty"):
        raise UserError(
            "The image would have code that is not committed: commit it first, or name in IMAGE one that was built."
        )
    store = Store(settings.store)
    return push(settings, engine, build(settings, engine, store, store.required_release()))
