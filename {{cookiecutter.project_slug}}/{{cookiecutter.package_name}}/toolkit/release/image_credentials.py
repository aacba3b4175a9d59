"""Credentials for image registries, from where `docker login` and `podman login` keep them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..common.errors import UserError
from .image_name import DOCKER_HUB, ImageName

#: The user under which credential helpers and docker keep a token instead of a password.
TOKEN_USER = "<token>"
#: The name that `docker login` has for Docker Hub.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"


class Credentials(NamedTuple):
    """A user and a password, or a token that a token service exchanges for another; never shown."""

    user: str
    secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.user!r}, ***)"


def find_credentials(image: ImageName) -> Credentials | None:
    """Return the credentials for an image's repository, None where there are none."""
    for file in _files():
        try:
            content = json.loads(file.read_text())
            found = _in_file(content, image)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{file} cannot be read as the credentials of image registries: {error}") from error
        if found:
            return found
    return None


def _files() -> Iterator[Path]:
    """Yield the files in which credentials may be; what is set explicitly comes first, then podman's, then docker's."""
    if explicit := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(explicit)
    if docker := os.environ.get("DOCKER_CONFIG"):
        yield Path(docker) / "config.json"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(f"/run/containers/{os.getuid()}/auth.json")
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "containers" / "auth.json"
    yield Path.home() / ".docker" / "config.json"


def _in_file(content: dict[str, Any], image: ImageName) -> Credentials | None:
    keys = list(_keys(image))
    helper = next((name for key in keys if (name := content.get("credHelpers", {}).get(key))), None)
    if helper:
        return _from_helper(helper, image)
    # docker writes some keys as addresses: https://registry.example.com/v1/
    entries = {
        key if key == DOCKER_HUB_KEY else key.removeprefix("https://").removesuffix("/").removesuffix("/v1"): entry
        for key, entry in content.get("auths", {}).items()
    }
    for key in keys:
        entry = entries.get(key) or {}
        if token := entry.get("identitytoken"):
            return Credentials(TOKEN_USER, token)
        if text := entry.get("auth"):
            user, _, password = base64.b64decode(text).decode().partition(":")
            return Credentials(user, password)
    return _from_helper(content["credsStore"], image) if content.get("credsStore") else None


def _keys(image: ImageName) -> Iterator[str]:
    """Yield the names of an image's registry, the narrowest first: podman keeps credentials for repositories too."""
    path = f"{image.registry}/{image.path}"
    while path:
        yield path
        path = path.rpartition("/")[0]
    if image.registry == DOCKER_HUB:
        yield DOCKER_HUB_KEY


def _from_helper(name: str, image: ImageName) -> Credentials | None:
    """Ask a program that keeps credentials, such as docker-credential-ecr-login."""
    program = f"docker-credential-{name}"
    server = DOCKER_HUB_KEY if image.registry == DOCKER_HUB else image.registry
    try:
        done = subprocess.run([program, "get"], input=server, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{program} has the credentials of {image.registry}, and does not run: {error}") from error
    if done.returncode:
        if "credentials not found" in done.stdout + done.stderr:
            return None
        shown = (done.stdout + done.stderr).strip()[:200]
        raise UserError(f"{program} has no credentials of {image.registry} (exit code {done.returncode}): {shown}")
    found = json.loads(done.stdout)
    return Credentials(found["Username"], found["Secret"])
