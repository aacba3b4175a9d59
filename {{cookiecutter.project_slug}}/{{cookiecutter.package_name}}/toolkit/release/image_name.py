"""The name of an image in its registry: registry.example.com/team/name:tag, or @sha256:... instead of the tag."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..common.errors import UserError

DIGEST = r"sha256:[0-9a-f]{64}"
#: What has a dot or a port before the first slash, or is localhost, is a registry.
_HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)+|(?:[\w.-]+|\[[0-9a-f:]+\])(?=:))(?::\d+)?/"
_PATH = r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<repository>(?P<host>{_HOST})?(?P<path>{_PATH}))(:(?P<tag>\w[\w.-]{{0,127}}))?(@(?P<digest>{DIGEST}))?"
)
#: Where the images are whose name begins with no registry.
DOCKER_HUB = "docker.io"


class ImageName(NamedTuple):
    """A parsed name; `repository` is written as in the name, `registry` and `path` are its parts."""

    repository: str
    registry: str
    path: str
    #: A digest (sha256:...) or a tag.
    reference: str

    @classmethod
    def parse(cls, name: str) -> ImageName:
        """Return the parts of a name; `UserError` if it is none."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise UserError(f"{name!r} names no image: write, for example, registry.example.com/team/name:1")
        registry, path = (found["host"] or DOCKER_HUB).rstrip("/"), found["path"]
        if not found["host"] and "/" not in path:
            path = f"library/{path}"
        return cls(found["repository"], registry, path, found["digest"] or found["tag"] or "latest")

    @property
    def on_this_machine(self) -> bool:
        """Whether the registry runs here, where it needs neither certificate nor proxy."""
        return is_local(self.registry)

    @property
    def address(self) -> str:
        """The address of the registry's HTTP API."""
        # Docker Hub's API has a host of its own.
        host = "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry
        return f"{'http' if self.on_this_machine else 'https'}://{host}"


def is_local(registry: str) -> bool:
    """Whether an image registry is on this machine."""
    return re.fullmatch(r"(([\w.-]+\.)?localhost|127\.[\d.]+|\[::1\])(:\d+)?", registry) is not None
