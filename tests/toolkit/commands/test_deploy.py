"""Deployment: the release follows the registry, and a failure leaves what ran before."""

import json
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import mlflow
import pytest
from titanic_survival import build, config, deploy
from titanic_survival.shared import container_image, targets
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import deployments
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.release.targets import Deployment, Rollout, RolloutError


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry in which version 2 is champion and the store is empty of releases."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    first = client.get_model_version(project.model_name, "1")
    client.create_model_version(project.model_name, first.source, tags=first.tags)
    registry.set_alias("champion", 2)
    registry.set_alias("challenger", 2)
    Store(project.store).write(None)
    return registry


class Target:
    """A target that fails, or does as if it ran the release."""

    place = "here"

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def apply(self, champion: Any) -> Rollout:
        """Start nothing."""
        if self.fails:
            raise RolloutError("it did not start")
        return Rollout("http://host", "done as told", "image@sha256:0")

    def running(self) -> Deployment:
        """Return a deployment of version 1."""
        release = Release.now("titanic", 1, {1: ("champion",)})
        return Deployment("http://host", "ready", release, datetime.now(UTC), {})

    def remove(self) -> bool:
        """Stop nothing."""
        return True


def test_failed_start_leaves_the_release_before(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    deploy.run(project)
    before = Store(project.store).release()
    registry.set_alias("champion", 1)
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=True))
    with pytest.raises(UserError, match="did not start"):
        deploy.run(project)
    assert Store(project.store).release() == before


def test_torn_release_is_replaced(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.store / "release.json").write_text('{"model": ')
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    deploy.run(project)
    release = Store(project.store).release()
    assert release is not None
    assert release.champion == 2


def test_deploy_prints_url_and_a_line_to_paste(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    assert deploy.run(project) == "http://host"
    output = capsys.readouterr().out
    assert "local, done as told" in output
    (line,) = [line for line in output.splitlines() if line.startswith("curl")]
    words = shlex.split(line)
    assert "http://host/predict" in words
    assert json.loads(words[-1]) == Store(project.store).load(2).example.rows[:1]


def test_plan_says_what_deploy_would_change(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.plan(project)
    assert "version 2 = challenger = champion" in capsys.readouterr().out
    assert Store(project.store).release() is None


def test_status_of_nothing_names_the_next_command(project: config.Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deploy.status(project)
    assert "make deploy" in capsys.readouterr().out


def test_undeploy_of_nothing_is_no_mistake(project: config.Settings) -> None:
    deploy.undeploy(project)


def test_build_wants_the_projects_own_store(project: config.Settings) -> None:
    with pytest.raises(UserError, match="STORE"):
        build.run(project)


def test_each_value_of_target_has_a_target() -> None:
    assert set(targets.TARGETS) == set(get_args(config.Settings.model_fields["target"].annotation))


def test_image_for_a_cluster_has_committed_code_only(
    project: config.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "podman").write_text("#!/bin/sh\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    settings = project.model_copy(update={"container_engine": "podman"})
    with pytest.raises(UserError, match="IMAGE_REPOSITORY 'titanic-survival' names no registry"):
        container_image.deployable(settings)
    settings = settings.model_copy(update={"image_repository": "registry.example.com/team/name"})
    for commit in ("none", "1f0c9a2b7d11-dirty"):
        monkeypatch.setattr(container_image.provenance, "commit", lambda folder, found=commit: found)
        with pytest.raises(UserError, match="not committed"):
            container_image.deployable(settings)
    pinned = "registry.example.com/team/name@sha256:" + "0" * 64
    assert container_image.deployable(settings.model_copy(update={"image": pinned})) == pinned


def test_build_options_that_cannot_be_split_are_named(project: config.Settings) -> None:
    with pytest.raises(UserError, match=r"CONTAINER_BUILD_ARGS .*No closing quotation"):
        container_image._options(project.model_copy(update={"container_build_args": "--label='open"}))


def test_each_deployment_and_removal_is_recorded(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    deploy.run(project)
    deploy.undeploy(project)
    events = deployments.events(registry)
    assert [(e.action, e.target, e.place, e.champion, e.image) for e in events] == [
        ("deployed", "local", "here", 2, "image@sha256:0"),
        ("removed", "local", "here", 0, ""),
    ]


def test_failed_rollout_is_tagged_shown_by_status_and_tried_again(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.set_alias("champion", 1)
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    deploy.run(project)
    registry.set_alias("champion", 2)
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=True))
    with pytest.raises(UserError, match="did not start"):
        deploy.run(project)
    assert [failure.reason for failure in deployments.failures(registry.get("2"))] == ["it did not start"]
    deploy.status(project)
    assert "The rollout of version 2 failed" in capsys.readouterr().out
    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    deploy.run(project)
    assert deployments.failures(registry.get("2")) == []


def test_deployment_succeeds_without_its_record(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise mlflow.exceptions.MlflowException("database is locked")

    monkeypatch.setattr(targets, "target", lambda settings: Target(fails=False))
    monkeypatch.setattr(Registry, "set_tag", away)
    assert deploy.run(project) == "http://host"
    assert "missing in the registry's history" in capsys.readouterr().out
