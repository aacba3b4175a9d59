"""Pipelines of the template and of a project: valid, without known weaknesses, pinned, made of Makefile targets."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Bake
from lint_pipelines import faults_by_actionlint, faults_by_schema, faults_by_zizmor
from pages import Page

ACTION = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")
#: What a step may do beside a Makefile target: bring credentials to a file, hand a value on, start the other pipeline.
HANDED_ON = (
    '(umask 077 && printenv CREDENTIALS > "$RUNNER_TEMP/kubeconfig")',
    'cat build/image.env >> "$GITHUB_OUTPUT"',
    'gh workflow run deploy.yml --repo "$GITHUB_REPOSITORY" --ref "$GITHUB_REF_NAME"',
)
INSTALLS = r"cd \./|apt-get update -qq && apt-get install -qq --yes --no-install-recommends (buildah|kubectl)"


@pytest.fixture
def workflows(template: Path) -> list[Path]:
    """Return the workflows of the template and of a project, unrendered, as a project has them."""
    found = sorted(template.rglob(".github/workflows/*.yml"))
    assert [path.name for path in found] == ["ci.yml", "ci.yml", "deploy.yml", "monitor.yml", "train.yml"]
    return found


@pytest.fixture
def gitlab(bake: Bake) -> Path:
    return bake() / ".gitlab-ci.yml"


def jobs(path: Path) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    return yaml.safe_load(path.read_text())["jobs"]


def scripts(path: Path) -> Iterator[str]:
    """Yield each line that a pipeline of GitLab runs."""
    for job in yaml.safe_load(path.read_text()).values():
        if isinstance(job, dict):
            yield from [*job.get("before_script", ()), *job.get("script", ())]


def test_workflows_are_valid(workflows: list[Path]) -> None:
    assert faults_by_schema("github-workflows", workflows) == ""


def test_actionlint_finds_nothing(workflows: list[Path]) -> None:
    assert faults_by_actionlint(workflows) == []


def test_zizmor_finds_nothing(workflows: list[Path]) -> None:
    assert faults_by_zizmor(workflows) == []


def test_pipeline_of_gitlab_is_valid(gitlab: Path) -> None:
    assert faults_by_schema("gitlab-ci", [gitlab]) == ""


def test_pipelines_of_the_documentation_are_valid(bake: Bake, tmp_path: Path) -> None:
    steps, trigger = (block.text for block in Page(bake() / "docs/pipelines.md").blocks if block.language == "yaml")
    workflow, pipeline = tmp_path / "deploy.yml", tmp_path / ".gitlab-ci.yml"
    job = textwrap.indent(f"runs-on: ubuntu-latest\ntimeout-minutes: 5\n{steps}", "    ")
    workflow.write_text(f"name: Deploy\non: push\npermissions: {{}}\njobs:\n  job:\n{job}")
    assert faults_by_schema("github-workflows", [workflow]) == ""
    pipeline.write_text(trigger)
    assert faults_by_schema("gitlab-ci", [pipeline]) == ""


def test_linters_find_what_is_wrong(tmp_path: Path) -> None:
    workflow = tmp_path / ".github/workflows/ci.yml"
    workflow.parent.mkdir(parents=True)
    step = "run: echo ${{ github.event.pull_request.title }}"
    workflow.write_text(
        f"on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - {step}\n"
    )
    assert {fault.partition(":")[0] for fault in faults_by_zizmor([workflow])} >= {
        "dangerous-triggers",
        "template-injection",
    }
    assert any("untrusted" in fault for fault in faults_by_actionlint([workflow]))
    workflow.write_text("on: push\njobs: {a: {steps: []}}\n")
    assert faults_by_schema("github-workflows", [workflow])
    (tmp_path / ".gitlab-ci.yml").write_text("image: {script: [make test]}\n")
    assert faults_by_schema("gitlab-ci", [tmp_path / ".gitlab-ci.yml"])


def test_actions_are_pinned_by_commit_to_one_version_each(workflows: list[Path]) -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    page = workflows[-1].parents[2] / "docs/pipelines.md"
    for path in [*workflows, page]:
        for line in re.findall(r"uses: .*$", path.read_text(), re.MULTILINE):
            found = ACTION.fullmatch(line)
            assert found, f"{path.name}: {line}"
            pins.setdefault(found[1], set()).add((found[2], found[3]))
    assert {name: len(commits) for name, commits in pins.items()} == dict.fromkeys(pins, 1)
    assert {name.partition("/")[0] for name in pins} == {"actions", "aws-actions"}
    assert all("aws-actions" not in path.read_text() for path in workflows), "they are in the documentation alone"


def test_every_job_ends_by_itself_and_reads_only_unless_it_says_why(workflows: list[Path]) -> None:
    for path in workflows:
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        assert all(re.search(r"write # to ", line) for line in re.findall(r".*: write.*", text))
        assert all(job["timeout-minutes"] <= 120 for job in jobs(path).values())


def test_the_schedule_is_in_no_workflow_that_guards_changes(workflows: list[Path]) -> None:
    # GitHub disables a whole workflow when its schedule has slept for 60 days.
    for path in workflows:
        started = yaml.safe_load(path.read_text())[True]
        assert not {"schedule"} < {*started} or not {"push", "pull_request"} & {*started}


def test_steps_are_targets_of_the_makefile(workflows: list[Path], gitlab: Path) -> None:
    for path in workflows:
        makefile = (path.parents[2] / "Makefile").read_text()
        commands = [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            target = re.fullmatch(r'make ([a-z-]+)( [A-Z]+=\S+)*( >> "\$GITHUB_STEP_SUMMARY")?', command)
            assert command in HANDED_ON or target, f"{path.name}: {command}"
            assert not target or _is_target(target[1], makefile), f"{path.name}: {command}"
    makefile = (gitlab.parent / "Makefile").read_text()
    for line in scripts(gitlab):
        found = re.fullmatch(r"make ([a-z-]+)( [A-Z]+=\S+)*", line)
        assert re.fullmatch(INSTALLS, line) or (found and _is_target(found[1], makefile)), line


def _is_target(name: str, makefile: str) -> bool:
    return re.search(rf"^{name}:", makefile, re.MULTILINE) is not None


def test_github_and_gitlab_run_the_same_targets(workflows: list[Path], gitlab: Path) -> None:
    def targets(lines: Iterator[str]) -> set[str]:
        return {" ".join(line.split()[1:3]).partition(" >>")[0] for line in lines if line.startswith("make ")}

    github = targets(
        step.get("run", "") for path in workflows[1:] for job in jobs(path).values() for step in job["steps"]
    )
    # GitLab starts no job by the result of another, so its deployments do not plan first.
    assert github - {"plan ARGS=--check"} == targets(scripts(gitlab))


def test_alerts_that_start_monitoring_exist_and_fit_an_event(template: Path, workflows: list[Path]) -> None:
    monitoring = workflows[-1].parents[2] / "monitoring"
    content = yaml.safe_load((monitoring / "alertmanager.yml").read_text())
    rules = yaml.safe_load((monitoring / "rules.yml").read_text())["groups"]
    [route] = content["route"]["routes"]
    [matcher] = route["matchers"]
    named = re.fullmatch(r'alertname=~"(.+)"', matcher)[1].split("|")  # type: ignore[index]
    assert {*named} <= {rule.get("alert") for group in rules for rule in group["rules"]}
    receivers = {receiver["name"]: receiver for receiver in content["receivers"]}
    assert {route["receiver"], content["route"]["receiver"]} == receivers.keys()
    [webhook] = receivers[route["receiver"]]["webhook_configs"]
    started = [yaml.safe_load(path.read_text())[True] for path in workflows]
    types = [kind for one in started for kind in one.get("repository_dispatch", {}).get("types", ())]
    assert webhook["payload"].keys() == {"event_type", "client_payload"} and webhook["payload"]["event_type"] in types
    # What the workflow of the training reads.
    assert webhook["payload"]["client_payload"].keys() == {"reason"}
    assert not webhook["send_resolved"], "an alert that ended starts nothing"
