"""A container of an image, started once without a network: it is asked by a program inside of it."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from ..common import console
from ..common.errors import UserError

TIMEOUT_SECONDS = 300
#: As the image is meant to run: it writes to /tmp alone.
OPTIONS = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
#: Over what somebody's Dockerfile may set.
ENVIRONMENT = ("--env=AUTH=none", "--env=PORT=3000", "--env=ROOT_PATH=")
#: Asks the service in the container, by Python's own library: the image has no other client for certain. It waits by
#: itself, since each call of the engine takes a while.
CLIENT = """
import sys, time, urllib.request as http
url, body = "http://127.0.0.1:3000" + sys.argv[1], sys.stdin.buffer.read()
headers = {"Content-Type": "application/json"}
opener = http.build_opener(http.ProxyHandler({}))
for _ in range(100):
    try:
        print(opener.open(http.Request(url, body, headers), timeout=30).read().decode())
        sys.exit()
    except OSError:
        time.sleep(0.1)
sys.exit(1)
"""


class CannotRunError(Exception):
    """The engine does not start a container, whatever is in it; the message is its reason."""


class TimedOutError(UserError):
    """A command of the engine did not end in time."""


class StartedContainer:
    """A container, by its name."""

    def __init__(self, engine: str, name: str) -> None:
        self._engine, self._name = engine, name

    def ask(self, path: str, body: str) -> str | None:
        """Return the answer to a POST request, None as long as the service does not answer with 200."""
        try:
            done = self.run("exec", "--interactive", self._name, "python", "-c", CLIENT, path, body=body)
        except TimedOutError:
            return None
        return done.stdout if done.returncode == 0 else None

    def has_ended(self) -> bool:
        """Whether its process has ended by itself."""
        return self.run("container", "inspect", "--format", "{{.State.Running}}", self._name).stdout.strip() != "true"

    def log(self) -> str:
        """Return what it has printed."""
        done = self.run("logs", self._name)
        return done.stdout + done.stderr

    def run(self, *words: str, body: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the engine; `TimedOutError` if it does not end."""
        try:
            return subprocess.run(
                [self._engine, *words],
                input=body,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOutError(
                f"{self._engine} {words[0]} did not end within {TIMEOUT_SECONDS} s: see whether {self._engine} works "
                f"here ({self._engine} ps), restart it if need be, and try again."
            ) from error


@contextmanager
def started_container(engine: str, image: str) -> Iterator[StartedContainer]:
    """Run an image by docker or podman until the block ends, and remove the container.

    `CannotRunError` if the engine cannot run containers here, though it may build images; `TimedOutError` if it hangs.
    """
    name = f"startup-check-{secrets.token_hex(4)}"
    container = StartedContainer(engine, name)
    try:
        done = container.run("run", "--detach", "--name", name, *OPTIONS, *ENVIRONMENT, image)
        if done.returncode:
            raise CannotRunError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
        yield container
    finally:
        try:
            # Killed: podman would else give it time to end by itself.
            container.run("rm", "--force", "--volumes", *(["--time=0"] if engine == "podman" else []), name)
        except TimedOutError:
            # Not raised: what happened before says more.
            console.warn(f"The container {name} could not be removed. Remove it: {engine} rm --force {name}")
