"""Reading an image through its engine: what it is, and what is installed in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from ...common.commands import last_lines
from ...common.errors import UserError
from ..container_engine import Engine
from . import inventory
from .software import ImageFacts

#: Nothing in the image needs more than to read its own files.
STRICT = ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def facts(engine: Engine, name: str) -> ImageFacts | None:
    """Return what an engine knows of an image; None if this machine does not have it."""
    kind = ["inspect", "--type", "image"] if engine.name == "buildah" else ["image", "inspect"]
    done = subprocess.run([engine.name, *kind, name], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found = json.loads(done.stdout)
    if engine.name == "buildah":
        digest, config = found["FromImageID"], found["OCIv1"]
        labels, platform = config["config"].get("Labels"), f"{config['os']}/{config['architecture']}"
    else:
        digest, config = found[0]["Id"], found[0]
        labels, platform = config["Config"].get("Labels"), f"{config['Os']}/{config['Architecture']}"
    # A tag says nothing of the digest in a registry: pushing may compress the layers in another way.
    return ImageFacts(
        name, f"sha256:{digest.removeprefix('sha256:')}", name.partition("@")[2], dict(labels or {}), platform
    )


def pull(engine: Engine, name: str) -> None:
    """Pull an image from its registry."""
    _output([engine.name, "pull", name])


def contents(engine: Engine, name: str) -> dict[str, Any]:
    """Return the inventory of an image, taken by the image's own Python."""
    python = ["-c", Path(inventory.__file__).read_text(encoding="utf-8")]
    if engine.name != "buildah":
        command = [engine.name, "run", "--rm", "--pull=never", *STRICT, "--entrypoint=python", name, *python]
        return dict(json.loads(_output(command)))
    container = _output(["buildah", "from", "--pull-never", name]).strip()
    try:
        return dict(json.loads(_output(["buildah", "run", "--network=none", container, "--", "python", *python])))
    finally:
        _output(["buildah", "rm", container])


def _output(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = last_lines(done.stderr.splitlines())
        raise UserError(f"{' '.join(command[:2])} ended with exit code {done.returncode}. Its last lines:\n{shown}")
    return done.stdout
