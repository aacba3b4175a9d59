"""`monitoring/`: Prometheus accepts the rules, and alerts fire as `rules.test.yml` says; change both together."""

import os
import shutil
import subprocess

import pytest

from {{ cookiecutter.package_name }} import config


@pytest.mark.parametrize("command", ["check config monitoring/prometheus.yml", "test rules monitoring/rules.test.yml"])
def test_promtool_accepts(command: str) -> None:
    if not shutil.which("promtool") and "REQUIRE_TOOLS" not in os.environ:
        pytest.skip("promtool is not installed; Debian and Homebrew have it in their package prometheus")
    done = subprocess.run(["promtool", *command.split()], cwd=config.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
