"""Containers on this machine, run by docker or podman."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..common.errors import UserError
from .container_engine import Engine

#: The label by which the containers of one deployment are found: its folder.
LABEL = "deployment.folder"
LOG_LINES = 15
REMOVE_SECONDS = 20
#: The user of the image, for a deployment by root.
IMAGE_USER = 10001


class Container(NamedTuple):
    """A container, running or not."""

    name: str
    status: str
    exit_code: int
    restarts: int

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"


class Containers:
    """The containers of one deployment."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self._folder = engine.name, folder

    def start(
        self,
        name: str,
        image: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        mounts: Sequence[str],
    ) -> None:
        """Start a container on the host's network that comes back after a crash, with as few rights as possible."""
        user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else f"{IMAGE_USER}:{IMAGE_USER}"
        command = ["run", "--detach", "--name", name, "--label", f"{LABEL}={self._folder}", "--restart=unless-stopped"]
        command += ["--network=host", "--user", user, "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
        # Without label=disable, SELinux would keep a container from the socket of the one before.
        command += ["--security-opt=no-new-privileges", "--security-opt=label=disable"]
        if self.engine == "podman" and os.getuid():
            command.append("--userns=keep-id")
        # By name alone: values may be secrets, and command lines are visible to every user of the machine.
        command += [word for variable in environment for word in ("--env", variable)]
        command += [word for mount in mounts for word in ("--volume", mount)]
        self._run(*command, image, *arguments, environment=environment)

    def find(self, name: str) -> Container | None:
        """Return a container, None if there is none of this name."""
        done = self._try("container", "inspect", name)
        if done.returncode:
            return None
        found = json.loads(done.stdout)[0]
        state = found["State"]
        return Container(name, state["Status"], state["ExitCode"], found.get("RestartCount", 0))

    def names(self, known: str = "") -> list[str]:
        """Return the names of all containers of the deployment, a known one among them if there is one.

        Labels have the folder in which containers were started, so one from before a move of it has to be known.
        """
        found = self._run("ps", "--all", "--filter", f"label={LABEL}={self._folder}", "--format", "{{.Names}}").split()
        return [*found, known] if known and known not in found and self.find(known) else found

    def log_end(self, name: str) -> str:
        """Return the last lines of a container's log."""
        done = self._try("logs", "--tail", str(LOG_LINES), name)
        return "\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-LOG_LINES:])

    def remove(self, name: str) -> None:
        """Kill and remove a container; its image stays."""
        deadline = time.monotonic() + REMOVE_SECONDS
        now = ["--time=0"] if self.engine == "podman" else []
        # The engine may be starting it again at this moment, and then fails to remove it.
        while self.find(name) and self._try("rm", "--force", *now, name).returncode:
            if time.monotonic() > deadline:
                raise UserError(f"{self.engine} does not remove the container {name}: {self.engine} rm --force {name}")
            time.sleep(0.5)

    def _run(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        done = self._try(*words, environment=environment)
        if done.returncode:
            raise UserError(f"{self.engine} {words[0]} ended with exit code {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout.strip()

    def _try(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.engine, *words],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def owned_folder(path: Path) -> Path:
    """Return a folder that containers can write to, made where there is none."""
    path.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(path, IMAGE_USER, IMAGE_USER)
    return path.absolute()
