"""The pipelines of a project, run step by step as a runner runs them; actions are left out, they are others' code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import commit

from .conftest import Project, call, free_port, mlflow_server, needed, running, wait_for

pytestmark = pytest.mark.slow

#: htpasswd's line of the user "ci" with the password "secret".
USERS = "ci:$2b$04$GLiOY1ordLL8TAllQElSBOuCWdTORerKyaLKzF1zpWEFsGZZoqo62\n"
#: It asks a server on the internet; it has tests of its own.
ELSEWHERE = ("make audit",)


class Runner:
    """A runner of GitHub: runs the steps of a job in order, each in a shell of its own, with the files that it offers.

    `contexts` has the values of expressions; one that is not there fails, so that none is forgotten.
    """

    def __init__(self, project: Project, folder: Path, contexts: Mapping[str, str]) -> None:
        self.project, self.folder = project, folder
        self.contexts = {"runner.temp": str(folder), **contexts}
        self.summary, self.output = folder / "summary.md", folder / "output"
        self.env = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(folder),
        }

    def run(self, workflow: str, name: str) -> dict[str, str]:
        """Run a job of a workflow, and return the outcome of each step that has a command."""
        path = self.project.path / ".github/workflows" / f"{workflow}.yml"
        job = yaml.safe_load(path.read_text())["jobs"][name]
        self.output.write_text("")
        outcomes = {}
        for step in job["steps"]:
            command = step.get("run", "")
            if not command or command in ELSEWHERE:
                continue
            outcomes[command] = self._step(step, self._values({**job.get("env", {}), **step.get("env", {})}))
            assert outcomes[command] == "success" or step.get("continue-on-error"), command
        return outcomes

    def outputs(self) -> dict[str, str]:
        """Return what the last job has handed on."""
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())

    def _step(self, step: dict[str, Any], env: dict[str, str]) -> str:
        found = re.match(r"make ([a-z]+)", step["run"])
        if found:
            self.project.calls(found[1])
        folder = self.project.path / step.get("working-directory", "")
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=folder,
            env=self.project.env | self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        print(done.stdout, done.stderr)
        return "success" if done.returncode == 0 else "failure"

    def _values(self, env: Mapping[str, str]) -> dict[str, str]:
        return {key: re.sub(r"\$\{\{ (.*?) \}\}", self._value, str(value)) for key, value in env.items()}

    def _value(self, expression: re.Match[str]) -> str:
        first, _, default = expression[1].partition(" || ")
        return self.contexts[first] or (default and self.contexts[default])


@pytest.fixture(scope="module")
def mlflow(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the team's MLflow server."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    url = f"http://127.0.0.1:{port}"
    with running(mlflow_server(project, folder, port), f"{url}/health", folder, project.env):
        yield url


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an image registry that asks for a password."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "users").write_text(USERS)
    (folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: images, path: {folder}/users}}}}\n"
    )
    command = [needed("docker-registry"), "serve", str(folder / "registry.yml")]
    with running(command, f"http://127.0.0.1:{port}/", folder, dict(os.environ)):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def committed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a copy of the project that a runner has checked out."""
    copy = project.copy(tmp_path_factory.mktemp("checkout") / "titanic-survival")
    # What the tests put there, and a checkout has not.
    (copy.path / ".git/info").mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=copy.path, check=True)
    (copy.path / ".git/info/exclude").write_text(".venv\n.bentoml\n*.log\n")
    commit(copy.path)
    yield copy
    copy.make("undeploy")


@pytest.fixture
def contexts(mlflow: str, registry: str) -> dict[str, str]:
    """Return what the repository's settings would give, and what GitHub gives."""
    unset = (
        "EXTRAS",
        "APPROVAL_REQUIRED",
        "FOUR_EYES",
        "SIGNING_KEYLESS",
        "VERIFY_IDENTITY",
        "KUBERNETES_NAMESPACE",
        "MLFLOW_TRACKING_USERNAME",
        "REGISTRY_USERNAME",
        "RETRAIN_TRIGGER",
        "RETRAIN_COOLDOWN_HOURS",
        "RETRAIN_DAILY_CAP",
        "AWS_DEFAULT_REGION",
    )
    return {
        **{f"vars.{name}": "" for name in unset},
        "vars.MLFLOW_TRACKING_URI": mlflow,
        "vars.TARGET": "local",
        "vars.IMAGE_REPOSITORY": f"{registry}/team/titanic-survival",
        "secrets.MLFLOW_TRACKING_PASSWORD": "",
        "secrets.KUBECONFIG": "apiVersion: v1",
        "secrets.REGISTRY_PASSWORD": "",
        "secrets.RETRAIN_TOKEN": "",
        "secrets.AWS_ACCESS_KEY_ID": "",
        "secrets.AWS_SECRET_ACCESS_KEY": "",
        "vars.RETRAIN_URL": "https://api.github.com/repos/ada/titanic/dispatches",
        "github.event.client_payload.reason": "drift $(touch injected) `touch injected`; touch injected",
        "inputs.why": "",
        "github.actor": "ci",
        "github.token": "secret",
    }


@pytest.fixture
def runner(committed: Project, tmp_path: Path, contexts: dict[str, str]) -> Runner:
    return Runner(committed, tmp_path, contexts)


def test_ci_checks_trains_and_builds_without_the_team_s_registry(runner: Runner, mlflow: str) -> None:
    assert list(runner.run("ci", "test")) == ["make setup", "make lint", "make test"]
    needed(os.environ.get("CONTAINER_ENGINE", "podman"))
    runner.project.env["IMAGE_REPOSITORY"] = name = f"localhost/test-{uuid.uuid4().hex[:8]}/titanic-survival"
    try:
        assert "make build" in runner.run("ci", "image")
        assert runner.project.registry(MLFLOW_TRACKING_URI=f"sqlite:///{runner.project.path}/mlflow.db")["aliases"]
        assert "titanic-survival" not in str(call(f"{mlflow}/api/2.0/mlflow/registered-models/search?max_results=9"))
    finally:
        del runner.project.env["IMAGE_REPOSITORY"]
        _remove_images(name)
    assert subprocess.run(["git", "status", "--porcelain"], cwd=runner.project.path, capture_output=True).stdout == b""


def test_training_reports_on_the_version_and_its_plots(runner: Runner, mlflow: str) -> None:
    runner.run("train", "train")
    runner.run("train", "train")
    registered = runner.project.registry(MLFLOW_TRACKING_URI=mlflow)
    assert registered["aliases"] == {"challenger": 2, "champion": 2}
    # The summary of a job is appended to, once for each run.
    *_, last = runner.summary.read_text().split("# Titanic survival: version ")
    assert last.startswith("2\n\n**It passed its gates and is champion.**")
    assert re.search(r"^\| roc_auc \| 0\.\d+ \| 0\.\d+ \| [+-]0\.\d+ \|$", last, re.MULTILINE)
    assert f"{mlflow}/#/experiments/" in last
    assert "✓" not in last, "the summary is Markdown alone"
    assert "Why it was trained: `drift $(touch injected) 'touch injected'; touch injected`\n" in last
    assert not list(runner.project.path.rglob("injected"))
    assert last.count("```mermaid") == 2
    written = runner.project.path / "report"
    for version in (1, 2):
        assert (written / f"plots/{version}/roc.png").stat().st_size > 1000
    shown = re.findall(r"!\[.*?\]\((.*?)\)", (written / "report.md").read_text())
    assert len(shown) >= 6
    assert all((written / path).is_file() for path in shown)


def test_monitoring_reads_the_log_where_the_repository_says_it_is(runner: Runner) -> None:
    log = runner.folder / "log"
    log.mkdir()
    runner.contexts["vars.LOG_INPUT"] = str(log)
    assert "make monitor" in runner.run("monitor", "monitor")
    summary = json.loads((runner.project.path / "build/monitor/summary.json").read_text())
    assert (summary["decision"], summary["source"]) == ("nothing", str(log))


def test_deployment_brings_the_pushed_image_to_each_environment(runner: Runner, registry: str) -> None:
    needed(os.environ.get("CONTAINER_ENGINE", "podman"))
    assert runner.run("deploy", "plan")["make plan ARGS=--check"] == "failure", "nothing is deployed yet"
    try:
        runner.run("deploy", "image")
        image = runner.outputs()["IMAGE"]
        assert re.fullmatch(rf"{registry}/team/titanic-survival@sha256:[0-9a-f]{{64}}", image)
        runner.contexts["needs.image.outputs.image"] = image
        for environment in ("staging", "production"):
            runner.run("deploy", environment)
        assert (runner.folder / "kubeconfig").stat().st_mode & 0o077 == 0
        wait_for(lambda: call(f"{runner.project.url}/predict", runner.project.rows(1))[0] == 200)
        assert runner.run("deploy", "plan")["make plan ARGS=--check"] == "success", "there is nothing to deploy"
    finally:
        _remove_images(f"{registry}/team/titanic-survival")


def test_credentials_that_the_image_registry_rejects_are_named(runner: Runner, registry: str) -> None:
    needed(os.environ.get("CONTAINER_ENGINE", "podman"))
    wrong = {"REGISTRY_USERNAME": "ci", "REGISTRY_PASSWORD": "wrong", "IMAGE_REPOSITORY": f"{registry}/team/name"}
    said = runner.project.make("login", ok=False, **wrong)
    assert f"{registry} does not accept 'ci'" in said
    assert "REGISTRY_PASSWORD" in said
    assert "wrong" not in said


def _remove_images(name: str) -> None:
    engine = os.environ.get("CONTAINER_ENGINE", "podman")
    found = subprocess.run([engine, "images", "--quiet", name], capture_output=True, text=True).stdout.split()
    if found:
        subprocess.run([engine, "rmi", "--force", *dict.fromkeys(found)], capture_output=True)
