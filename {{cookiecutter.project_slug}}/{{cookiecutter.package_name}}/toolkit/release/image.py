"""The container image of a project: code, libraries and a release in one.

The same commit, release and base image give the same image, to the digest: times and modes of files are fixed, whatever
the umask and the clock of the machine that builds. The labels have the commit's time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..common.errors import UserError
from ..registry import dependencies
from ..training import provenance
from .container_engine import Engine, Image
from .store import Release, Store

#: The locks in requirements/ with the libraries of ONNX models alone, and of models or features in Python too.
ONNX_ENVIRONMENT, PYTHON_ENVIRONMENT = "serve", "model"
#: What the list SERVE of setup.py has, as it is imported.
SERVE_LIBRARIES = frozenset(
    {"bentoml", "dotenv", "httptools", "httpx", "numpy", "onnxruntime", "orjson", "prometheus_client", "pydantic"}
    | {"pydantic_settings", "rich", "starlette", "typer", "uvicorn", "uvloop"}
)
#: The lock with the libraries of every command.
FULL_ENVIRONMENT = "train"
#: What the labels begin with whose names the OCI gives.
OCI_LABEL = "org.opencontainers.image."
#: Options of an engine's build command that depend on the machine, with and without a value.
MACHINE_OPTIONS = frozenset(
    ("--network", "--volume", "-v", "--add-host", "--dns", "--secret", "--ssh", "--cache-from", "--cache-to")
)
MACHINE_FLAGS = frozenset({"--no-cache", "--pull", "--quiet", "-q", "--tls-verify"})


class Project(NamedTuple):
    """What of a project its image is made from and named after."""

    root: Path
    package: str
    #: The image's name without tag, with the registry before it where there is one: registry.example.com/team/name.
    repository: str
    title: str
    description: str
    author: str


def build(
    project: Project,
    engine: Engine,
    store: Store,
    release: Release,
    *,
    run_id: str,
    environment: str,
    base_image: str = "",
    options: Sequence[str] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Image:
    """Build the image of a release with an environment's libraries; `run_id` is the MLflow run of its champion."""
    commit = provenance.commit(project.root)
    created = provenance.commit_time(project.root) or datetime.fromtimestamp(0, UTC)
    arguments = {
        "ENVIRONMENT": environment,
        "TITLE": project.title,
        "DESCRIPTION": project.description,
        "AUTHORS": project.author,
        "REVISION": commit,
        "CREATED": created.isoformat(),
    }
    for label, value in labels(release, run_id).items():
        arguments[label.removeprefix(OCI_LABEL).replace(".", "_").upper()] = value
    if base_image:
        arguments["BASE_IMAGE"] = base_image
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        stage(Path(folder), project, store, release, created, data=environment == FULL_ENVIRONMENT)
        return engine.build(
            Path(folder),
            # Beside the image that serves the release, not in its place.
            f"{project.repository}:{tag(release, commit)}{'-train' if environment == FULL_ENVIRONMENT else ''}",
            arguments=arguments,
            options=options,
            progress=progress,
        )


def tag(release: Release, commit: str) -> str:
    """Return the tag of a release's image: the champion and the commit, with "-dirty" if files differ from it."""
    return f"{release.champion}-{'uncommitted' if commit == 'none' else commit}"


def runtime_tag(commit: str, environment: str, base_image: str, options: Sequence[str]) -> str:
    """Return the tag under which a registry has the image of a commit, whatever its release: what else it depends on.

    A release takes the place of the one in it, see `image_layers`.
    """
    name = f"runtime-{'uncommitted' if commit == 'none' else commit}-{environment}"
    given = [base_image, *_content_options(options)]
    return f"{name}-{hashlib.sha256(json.dumps(given).encode()).hexdigest()[:8]}" if any(given) else name


def _content_options(options: Sequence[str]) -> list[str]:
    """Return the options of a build that may change what the image has, and not only how this machine builds it."""
    found, words = [], iter(options)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in MACHINE_OPTIONS:
            if not equals:
                next(words, None)
        elif name not in MACHINE_FLAGS:
            found.append(word)
    return found


def labels(release: Release, run_id: str) -> dict[str, str]:
    """Return the labels of an image that depend on its release; the others are of its code."""
    return {
        f"{OCI_LABEL}version": str(release.champion),
        "model.name": release.model,
        "model.versions": ",".join(map(str, sorted(release.versions))),
        "model.run": run_id,
    }


def environment(store: Store, release: Release) -> str:
    """Return which of the project's environments serves a release, and the endpoints of the project's own beside it."""
    versions = [store.load(number) for number in release.versions]
    runtimes = {"python" if version.has_features else version.details["runtime"] for version in versions}
    return ONNX_ENVIRONMENT if runtimes == {"onnx"} and not _endpoint_libraries() else PYTHON_ENVIRONMENT


def _endpoint_libraries() -> set[str]:
    """Return what endpoints of the project's own import that the service of ONNX models does without."""
    endpoints = dependencies.PACKAGE / "model" / "endpoints.py"
    try:
        found = dependencies.modules(endpoints) if endpoints.exists() else set()
    except SyntaxError:
        return set()
    return dependencies.libraries(found) - SERVE_LIBRARIES


def stage(
    context: Path, project: Project, store: Store, release: Release, created: datetime, *, data: bool = False
) -> None:
    """Copy what an image is built from into an empty folder: code, locks, and of the store the release alone.

    With `data`, the files of `data/` that git has are copied too: an image that trains reads them.
    """
    try:
        for name in ("Dockerfile", "setup.py"):
            shutil.copy(project.root / name, context)
        shutil.copytree(project.root / "requirements", context / "requirements")
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); the image is built from it.") from error
    (context / "data").mkdir()
    for path in provenance.tracked(project.root, "data") if data else []:
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project.root / path, context / path)
    code = context / project.package
    shutil.copytree(project.root / project.package, code, ignore=shutil.ignore_patterns("__pycache__"))
    stage_release(context / "store", store, release, created)
    # Whoever runs the image, as whatever user, must be able to read it; and modes are part of its digest.
    context.chmod(0o755)
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def stage_release(folder: Path, store: Store, release: Release, created: datetime) -> None:
    """Copy a release and its versions to a store of their own, as of the time of the newest: code or version."""
    staged = Store(folder)
    for number in release.versions:
        shutil.copytree(store.path(number), staged.path(number), ignore=shutil.ignore_patterns("__pycache__"))
    trained = [datetime.fromisoformat(store.load(number).details["trained"]) for number in release.versions]
    staged.write(release.model_copy(update={"created": max(created, *trained)}))
