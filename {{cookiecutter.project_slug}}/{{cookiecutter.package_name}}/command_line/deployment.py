"""The commands that serve the registry's release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..toolkit.common.termination import terminable
from . import guide as _guide
from . import settings as _settings

deployment = typer.Typer()


@deployment.command(epilog=_guide("make deploy", "make status shows what runs; make undeploy stops it."))
def deploy() -> None:
    """Pull and verify the registry's release, serve it on TARGET, and print the URL; CANARY=1 adds a canary."""
    from .. import deploy

    settings = _settings()
    deploy.run(settings)
    if settings.canary:
        from .. import canary

        with terminable():
            canary.after_deploy(settings)


@deployment.command(epilog=_guide("make plan", "make deploy does it."))
def plan(
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 3 if deploy would change something.")
    ] = False,
) -> None:
    """Show what deploy would change, and change nothing."""
    from .. import deploy

    if deploy.plan(_settings()) and check:
        raise typer.Exit(3)


@deployment.command(epilog=_guide("make status", "make deploy brings the service in sync with the registry."))
def status() -> None:
    """Show what is deployed, and whether it is in sync with the registry."""
    from .. import deploy

    deploy.status(_settings())


@deployment.command(epilog=_guide("make undeploy", "make deploy starts it again."))
def undeploy() -> None:
    """Stop the deployed service; versions and registry stay as they are."""
    from .. import deploy

    deploy.undeploy(_settings())


@deployment.command(
    epilog=_guide("make sync", "make promote in another terminal; the service follows. Ctrl-C ends sync.")
)
def sync(
    once: Annotated[bool, typer.Option("--once", help="Sync once and exit.")] = False,
    register: Annotated[
        str, typer.Option(metavar="URL", help="Only register a webhook: MLflow then notifies the sync at this address.")
    ] = "",
) -> None:
    """Keep the store in sync with the registry, and with TARGET=kubernetes the cluster, without a failed request."""
    from .. import sync

    if register:
        sync.register(_settings(), register)
    else:
        sync.run(_settings(), once=once)


@deployment.command(
    epilog=_guide("make serve", "open the URL that it prints; Ctrl-C ends it. make deploy does it in the background.")
)
def serve(
    pull: Annotated[bool, typer.Option(help="Before serving, pull the release from the registry.")] = True,
    record: Annotated[Path | None, typer.Option(hidden=True)] = None,
    instance: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Serve the current release in the foreground."""
    from .. import serve

    serve.run(_settings(), pull=pull, record=record, instance=instance)


@deployment.command(
    epilog=_guide("make build", "the commands that it prints run the image and the Bento; --push pushes the image.")
)
def build(
    push: Annotated[bool, typer.Option("--push", help="Push the image to the registry in IMAGE_REPOSITORY.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build anew the image that is pushed.")] = False,
) -> None:
    """Package the service and the registry's release as a Bento, and as an image by docker, podman or buildah."""
    from .. import build

    with terminable():
        build.run(_settings(), push=push, rebuild=rebuild)


@deployment.command(epilog=_guide("make login", "make build ARGS=--push pushes the image there."))
def login() -> None:
    """Log in to the image registry of IMAGE_REPOSITORY, as REGISTRY_USERNAME with REGISTRY_PASSWORD."""
    from ..shared import container_image

    container_image.login(_settings())
