"""This project's container image: built from its settings, and published in its registry with a release."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable

from .. import config
from ..toolkit.common import console
from ..toolkit.common.errors import UserError
from ..toolkit.registry.client import connect
from ..toolkit.registry.errors import mlflow_errors
from ..toolkit.release import image, image_layers
from ..toolkit.release.container_engine import Engine, Image, find_engine
from ..toolkit.release.containers import IMAGE_USER
from ..toolkit.release.started_container import CannotRunError, started_container
from ..toolkit.release.startup_check import Built
from ..toolkit.release.store import Release, Store
from ..toolkit.training import provenance
from .trust import model_store

#: Engines that run containers too.
RUNNERS = ("docker", "podman")
#: Settings of the service that hold in a container too; paths have other places there.
SERVICE_SETTINGS = (
    "model_name",
    "mlflow_tracking_uri",
    "root_path",
    "workers",
    "auth",
    "auth_seconds",
    "auth_exempt",
    "max_rows",
    "max_bytes",
    "max_waiting",
    "max_bytes_in_flight",
    "read_seconds",
    "log_share",
    "log_megabytes",
)


def build(
    settings: config.Settings,
    engine: Engine,
    store: Store,
    release: Release,
    environment: str = "",
    *,
    start: bool = True,
) -> Image:
    """Build the image of a release of the store, with the libraries that it needs or those of an environment.

    To `start`, it is started once, if the engine runs containers.
    """
    environment = environment or image.environment(store, release)
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
            run_id=_run_id(settings, release),
            environment=environment,
            base_image=settings.base_image,
            options=_options(settings),
            progress=step.progress,
        )
        step.detail = f"{built.name}, {built.size / 1e6:.0f} MB, {built.id[:19]}"
        if start:
            step.progress("starting it once")
            check = Built("The image", f"requirements/{environment}.lock", config.PACKAGE, store, release)
            step.detail += f", {_start_once(engine, built, check, step.progress)}"
    return built


def _start_once(engine: Engine, built: Image, check: Built, progress: Callable[[str], None]) -> str:
    """Return what an image answered in a container, or why none was started."""
    if engine.name not in RUNNERS:
        return f"not started: {engine.name} runs no containers"
    try:
        with started_container(engine.name, built.id) as started:
            return check.check(started, progress)
    except CannotRunError as error:
        return f"not started: {engine.name} runs no containers here ({error})"


def name(settings: config.Settings, release: Release) -> str:
    """Return the name of the image that `build` makes of a release and the commit checked out."""
    return f"{settings.image_repository}:{image.tag(release, provenance.commit(config.ROOT))}"


def publish(settings: config.Settings, store: Store, release: Release, *, rebuild: bool = False) -> str:
    """Return the image of a release in its registry, by digest.

    The release takes the place of the one in the image that the registry has of this commit. Only if it has none, or
    the code is not committed, or to `rebuild`, an engine is needed: it builds and pushes that image first.
    """
    runtime = _runtime(settings, store, release, image.environment(store, release), rebuild=rebuild)
    with console.step("release") as step:
        pinned = image_layers.append_release(runtime, store, release, run_id=_run_id(settings, release))
        step.detail = pinned
    return pinned


def publish_full(settings: config.Settings, *, rebuild: bool = False) -> str:
    """Return the image with the libraries of every command, by digest; it is built if its registry has none.

    It depends on the commit alone: whoever runs it has the registry's release pulled.
    """
    _check_committed(settings)
    store = model_store(settings)
    runtime = _runtime(settings, store, store.required_release(), image.FULL_ENVIRONMENT, rebuild=rebuild)
    return f"{settings.image_repository}@{image_layers.digest(runtime)}"


def _runtime(
    settings: config.Settings, store: Store, release: Release, environment: str, *, rebuild: bool = False
) -> str:
    """Return the name of this commit's image with the libraries of an environment; it is in its registry then."""
    check_names_registry(settings)
    commit = provenance.commit(config.ROOT)
    tag = image.runtime_tag(commit, environment, settings.base_image, _options(settings))
    runtime = f"{settings.image_repository}:{tag}"
    if rebuild or not _is_committed(commit) or not image_layers.exists(runtime):
        engine = find_engine(settings.container_engine)
        if engine is None:
            raise UserError(
                f"There is no image {runtime}, and nothing here to build it with: install docker, podman or buildah, "
                "start docker's daemon, or run this once where one of them works."
            )
        built = build(settings, engine, store, release, environment)
        with console.step("push") as step:
            engine.tag(built.name, runtime)
            step.detail = f"{runtime}, {engine.push(runtime, step.progress)[:19]}"
    return runtime


def check_names_registry(settings: config.Settings) -> None:
    """Raise a `UserError` if there is no registry to push to."""
    if "/" not in settings.image_repository:
        raise UserError(
            f"IMAGE_REPOSITORY {settings.image_repository!r} names no registry to push to: write, for example, "
            f"registry.example.com/team/{config.SERVICE_NAME}"
        )


def deployable(settings: config.Settings, prepare: Callable[[], None] = lambda: None) -> str:
    """Return the image to deploy beyond this machine, by digest: that of IMAGE, else one that is published.

    `prepare` is called before, to log in for example. `UserError` if the code is not committed, since nobody could tell
    later what runs.
    """
    if settings.image:
        return settings.image
    _check_committed(settings)
    prepare()
    store = model_store(settings)
    return publish(settings, store, store.required_release())


def _check_committed(settings: config.Settings) -> None:
    check_names_registry(settings)
    if not _is_committed(provenance.commit(config.ROOT)):
        raise UserError(
            "The image would have code that is not committed: commit it first, or name in IMAGE one that was built."
        )


def login(settings: config.Settings) -> None:
    """Log in to the image registry with the engine that builds and pushes; without a user, nothing is to be done."""
    check_names_registry(settings)
    engine = find_engine(settings.container_engine)
    if engine is None:
        raise UserError("Nothing here can log in: install docker, podman or buildah, or start docker's daemon.")
    registry = settings.image_repository.partition("/")[0]
    with console.step("login") as step:
        if not settings.registry_username:
            step.detail = f"REGISTRY_USERNAME is not set; {engine.name}'s own credentials for {registry} are used"
            return
        engine.login(registry, settings.registry_username, settings.registry_password.get_secret_value())
        step.detail = f"{registry}, as {settings.registry_username}"


def _is_committed(commit: str) -> bool:
    return commit != "none" and not commit.endswith("-dirty")


def _run_id(settings: config.Settings, release: Release) -> str:
    """Return the MLflow run of a release's champion."""
    with mlflow_errors(settings.mlflow_tracking_uri):
        return connect(settings.mlflow_tracking_uri, settings.model_name).get(str(release.champion)).run_id


def _options(settings: config.Settings) -> list[str]:
    try:
        return shlex.split(settings.container_build_args)
    except ValueError as error:
        text = f"CONTAINER_BUILD_ARGS {settings.container_build_args!r} cannot be split into options: {error}"
        raise UserError(f"{text}. Quote it as for a shell.") from error


def engine_to_run(settings: config.Settings) -> Engine:
    """Return an engine that can run containers; `UserError` if there is none."""
    engine = find_engine(settings.container_engine)
    if engine is None or engine.name not in RUNNERS:
        found = f"CONTAINER_ENGINE is {engine.name}, which runs no containers" if engine else "There is none here"
        raise UserError(f"TARGET=docker needs docker or podman. {found}: install one, or start docker's daemon.")
    return engine


def runnable(settings: config.Settings) -> Image:
    """Return the image to run on this machine: that of IMAGE, else one that is built."""
    engine, store = engine_to_run(settings), model_store(settings)
    if settings.image:
        return engine.fetch(settings.image)
    # The deployment starts it, and asks it the same.
    return build(settings, engine, store, store.required_release(), start=False)


def service_options(settings: config.Settings) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment variables and mounts with which a container serves as these settings say."""
    environment = {name.upper(): str(getattr(settings, name)) for name in SERVICE_SETTINGS}
    if settings.auth != "token":
        return environment, ()
    tokens = settings.tokens.absolute()
    if os.getuid() == 0 and tokens.exists() and tokens.stat().st_uid != IMAGE_USER:
        raise UserError(f"{tokens} must belong to the container's user: chown {IMAGE_USER} {tokens}")
    return environment | {"TOKENS": "/tokens"}, (f"{tokens}:/tokens:ro",)


def expected_name(settings: config.Settings, release: Release) -> str:
    """Return the name of the image with which a release would be deployed to this machine."""
    return settings.image or f"{settings.image_repository}:{image.tag(release, provenance.commit(config.ROOT))}"
