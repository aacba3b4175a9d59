"""The demo: what a newcomer sees first."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_demo_gets_predictions_over_http_and_leaves_nothing_running(template: Path) -> None:
    done = subprocess.run([sys.executable, "demo.py"], cwd=template, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    commands = re.findall(r"^\$ (?:PORT=\d+ )?(make \w+)", done.stdout, re.MULTILINE)
    assert commands == ["make setup", "make train", "make deploy", "make undeploy"]
    assert len(re.findall(r" \d+%   (?:died|survived) +(?:died|survived)$", done.stdout, re.MULTILINE)) == 3
    port = int(re.findall(r"POST http://127\.0\.0\.1:(\d+)/predict", done.stdout)[0])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
