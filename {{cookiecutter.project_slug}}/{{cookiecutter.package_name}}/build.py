"""Build: package the service and the versions it serves as a Bento."""

from __future__ import annotations

import os

from . import config
from .toolkit.common import console
from .toolkit.common.errors import UserError
from .toolkit.common.names import CHAMPION
from .toolkit.release.reconcile import pull_release
from .toolkit.release.store import Store

LOCK = "requirements/serve.lock"


def run(settings: config.Settings) -> str:
    """Pull the registry's release, package it, and return the tag of the Bento."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
    if settings.store != config.ROOT / "store":
        raise UserError(
            f"STORE is {settings.store}, but a Bento contains the project's own store: leave STORE unset to build"
        )
    release = pull_release(settings.mlflow_tracking_uri, settings.model_name, Store(settings.store))
    with console.step("build") as step:
        import bentoml

        os.chdir(config.ROOT)  # BentoML takes relative paths only
        bento = bentoml.build(
            f"{config.PACKAGE}.service:Service",
            include=["setup.py", "README.md", LOCK, f"{config.PACKAGE}/**/*.py", "store/release.json"]
            + [f"store/versions/{number}/*" for number in release.versions],
            labels={"model": release.model, CHAMPION: str(release.champion)},
            python={"requirements_txt": LOCK, "lock_packages": False},
        )
        step.detail = str(bento.tag)
    console.next_steps(
        (f".venv/bin/bentoml serve {bento.tag}", "serve it here"),
        (f".venv/bin/bentoml export {bento.tag} .", "a single file, to serve it elsewhere"),
    )
    return str(bento.tag)
