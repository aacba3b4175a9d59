"""Container engines: docker, podman and buildah build and push images; the first that works is taken."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..common.commands import run
from ..common.errors import UserError
from .image_name import is_local

ENGINES = ("docker", "podman", "buildah")
#: The time of every file and layer, in seconds since 1970. Another one for each commit would keep an engine that has
#: layers of an earlier commit from building the same image as one that has none.
TIMESTAMP = "0"


class Image(NamedTuple):
    """An image that this machine has: its name with tag, its id (sha256:...) and its size in bytes."""

    name: str
    id: str
    size: int


class Engine:
    """One of the programs that build images; their command lines agree but for what stands here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def build(
        self,
        context: Path,
        name: str,
        *,
        arguments: Mapping[str, str],
        options: Sequence[str] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Image:
        """Build the Dockerfile of a folder; `UserError` has the engine's last lines if it fails."""
        command = [self.name, "build", "--tag", name, *options]
        if self.name == "docker":
            arguments = {**arguments, "SOURCE_DATE_EPOCH": TIMESTAMP}
        else:
            # buildah alone would else make one layer of all steps, and a new release would be a new image.
            command += ["--layers", "--timestamp", TIMESTAMP]
        command += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "id"
            run([*command, "--iidfile", str(file), str(context)], progress)
            # Not by its name: a name without a registry stands for the image of any registry that has it here.
            number = f"sha256:{file.read_text().strip().removeprefix('sha256:')}"
        return self.inspect(name if self.name == "buildah" else number)._replace(name=name, id=number)

    def inspect(self, name: str) -> Image:
        """Return an image that was built."""
        if self.name == "buildah":
            found = run([self.name, "images", "--no-trunc", "--format", "{{.ID}} {{.Size}}", name]).split()
            return Image(name, found[0], _bytes(" ".join(found[1:])))
        found = run([self.name, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name]).split()
        return Image(name, f"sha256:{found[0].removeprefix('sha256:')}", int(found[1]))

    def tag(self, name: str, other: str) -> None:
        """Give an image another name."""
        run([self.name, "tag", name, other])

    def fetch(self, name: str) -> Image:
        """Return an image, pulled from its registry if this machine does not have it."""
        try:
            return self.inspect(name)
        except UserError:
            run([self.name, "pull", name])
            return self.inspect(name)

    def push(self, name: str, progress: Callable[[str], None] = lambda line: None) -> str:
        """Push an image to the registry in its name, and return the digest under which it is there (sha256:...)."""
        if self.name == "docker":
            found = re.findall(r"digest: (sha256:[0-9a-f]{64})", run([self.name, "push", name], progress))
            return str(found[-1])
        with tempfile.TemporaryDirectory() as scratch:
            digest = Path(scratch) / "digest"
            # As docker does by itself: a registry on this machine needs no certificate.
            plain = ["--tls-verify=false"] if is_local(name.partition("/")[0]) else []
            run([self.name, "push", *plain, "--digestfile", str(digest), name], progress)
            return digest.read_text().strip()

    def login(self, registry: str, user: str, password: str) -> None:
        """Log in to an image registry; `UserError` if it does not accept the credentials."""
        plain = ["--tls-verify=false"] if self.name != "docker" and is_local(registry) else []
        command = [self.name, "login", "--username", user, "--password-stdin", *plain, registry]
        # Not by `run`: the password goes through standard input, where no list of processes shows it.
        done = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(
                f"{registry} does not accept {user!r}: {reason}. Correct REGISTRY_USERNAME and REGISTRY_PASSWORD."
            )


def find_engine(wanted: str = "") -> Engine | None:
    """Return the engine named, or the first that works here; None if none does."""
    if wanted and wanted not in ENGINES:
        raise UserError(f"CONTAINER_ENGINE {wanted!r}: name one of {', '.join(ENGINES)}.")
    for name in (wanted,) if wanted else ENGINES:
        if shutil.which(name) and (name != "docker" or _daemon_answers(name)):
            return Engine(name)
    if wanted:
        raise UserError(f"CONTAINER_ENGINE is {wanted}, which does not work here: install or start it.")
    return None


def _daemon_answers(name: str) -> bool:
    """Whether docker has more here than its client."""
    found = subprocess.run([name, "version", "--format", "{{.Server.Version}}"], capture_output=True, check=False)
    return found.returncode == 0


def _bytes(text: str) -> int:
    """Return the bytes in a size as buildah writes it, such as "444 MB"."""
    number, unit = text.split()
    return int(float(number) * {"B": 1, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
