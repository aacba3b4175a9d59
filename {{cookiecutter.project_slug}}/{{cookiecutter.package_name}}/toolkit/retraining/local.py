"""This machine: the training runs here, in a process of its own, and its output is shown."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ..common import console
from ..common.errors import UserError
from .request import Request, Start

#: Seconds that a training has to end when it is told to.
GRACE = 10.0


class Local:
    """A command that trains, in its folder; the reason is its environment variable WHY."""

    name = "local"

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command, self._folder = list(command), folder

    def start(self, request: Request, claim: str) -> Start:
        """Train, and wait for the end; `UserError` if the training fails."""
        began = time.monotonic()
        console.say(f"A training starts: {request.reason}\n")
        console.out.file.flush()
        with subprocess.Popen(
            self._command, cwd=self._folder, env=os.environ | {"WHY": request.reason}, stdin=subprocess.DEVNULL
        ) as process:
            try:
                code = process.wait()
            except BaseException:
                # It shall not go on alone, nor be waited for without end.
                process.terminate()
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
        if code:
            raise UserError(f"The training failed with exit code {code}: its output is above.")
        return Start("", f"it ended with exit code 0 after {time.monotonic() - began:.0f} s")
