"""Who is champion, who was it before, and who may be it at all."""

from typing import Any

import mlflow
import pytest
from titanic_survival import config, promote, report
from titanic_survival import history as show_history
from titanic_survival.model import quality
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import history
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.registry.history import Event
from titanic_survival.toolkit.training import evidence


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of five versions, all but the last with passed gates, and no champion yet."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    client = mlflow.MlflowClient()
    source = client.get_model_version(project.model_name, "1").source
    for gates in ("passed", "passed", "passed", "failed"):
        tags = {"gates": gates} | ({"gates.failed": "accuracy is 0"} if gates == "failed" else {})
        client.create_model_version(project.model_name, source, tags=tags)
    client.set_model_version_tag(project.model_name, "1", "gates", "passed")
    if registry.find("champion"):
        registry.client.delete_registered_model_alias(registry.name, "champion")
    for key in client.get_registered_model(project.model_name).tags:
        client.delete_registered_model_tag(project.model_name, key)
    return registry


def champion(registry: Registry) -> int | None:
    found = registry.find("champion")
    return found.number if found else None


def test_promotion_moves_the_champion_and_is_recorded(project: config.Settings, registry: Registry) -> None:
    assert promote.run(project, "2", "better") == 2
    assert promote.run(project, "3", "better still") == 3
    assert champion(registry) == 3
    events = history.events(registry)
    assert [(e.action, e.source, e.target, e.why) for e in events] == [
        ("promoted", None, 2, "better"),
        ("promoted", 2, 3, "better still"),
    ]
    assert all(event.who and event.when.endswith("+00:00") for event in events)


def test_challenger_is_promoted_by_its_alias(project: config.Settings, registry: Registry) -> None:
    registry.set_alias("challenger", 4)
    assert promote.run(project, "challenger", "approved") == 4
    assert champion(registry) == 4


def test_champion_promoted_again_leaves_no_trace(project: config.Settings, registry: Registry) -> None:
    for _ in range(2):
        promote.run(project, "2", "better")
    assert len(history.events(registry)) == 1


def test_version_with_failed_gates_is_not_promoted_and_the_reason_is_named(
    project: config.Settings, registry: Registry
) -> None:
    with pytest.raises(UserError, match="Version 5 is not promoted: accuracy is 0"):
        promote.run(project, "5", "please")
    assert champion(registry) is None
    assert history.events(registry) == []


def test_version_whose_gates_were_not_evaluated_is_not_promoted(project: config.Settings, registry: Registry) -> None:
    mlflow.MlflowClient().delete_model_version_tag(project.model_name, "4", "gates")
    with pytest.raises(UserError, match="not evaluated"):
        promote.run(project, "4", "please")


COMPARISON = "roc_auc is 0.7, the champion has 0.99 on the same rows (tolerance 0)"


@pytest.fixture
def compared(project: config.Settings, registry: Registry) -> Registry:
    """Return the registry, whose champion is version 1; version 5 has the same files and failed in the comparison."""
    registry.set_alias("champion", 1)
    registry.set_version_tags(5, {"gates.failed": COMPARISON, "digest": registry.get("1").digest})
    return registry


def test_version_that_failed_in_the_comparison_is_promoted_if_it_passes_today(
    project: config.Settings, compared: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote.run(project, "5", "reviewed") == 5
    assert champion(compared) == 5
    assert compared.get("5").tags["gates"] == "passed"
    (event,) = history.events(compared)
    assert (event.action, event.source) == ("promoted", 1)
    assert event.why.startswith("reviewed; gates passed on today's ")
    assert event.why.endswith("compared with the champion, version 1")
    assert COMPARISON in capsys.readouterr().out


def test_version_that_fails_today_too_is_not_promoted(
    project: config.Settings, compared: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the metrics are, the second of the two versions has none better.
    monkeypatch.setattr(quality, "GATES", {"better": {"at_least": 0}})
    values = iter([1.0, 0.5])
    monkeypatch.setattr(quality, "SLICES", ())
    monkeypatch.setattr(quality, "metrics", lambda *_: {"better": next(values)})
    # Both have the same files, and so no difference.
    monkeypatch.setattr(evidence, "compare", lambda *_: {})
    with pytest.raises(UserError, match=r"better is 0\.5, the champion has 1 .*evaluated again, on today's .*FORCE=1"):
        promote.run(project, "5", "reviewed")
    assert champion(compared) == 1
    assert compared.get("5").tags["gates"] == "failed"


def test_version_that_must_be_better_is_compared_by_its_interval(
    project: config.Settings,
    compared: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate = next(iter(quality.GATES))
    monkeypatch.setattr(quality, "GATES", {gate: quality.GATES[gate] | {"tolerance": None, "better": 0}})
    said = f"{gate} is as good as the champion .* but must be better with 95 % confidence"
    with pytest.raises(UserError, match=said):
        promote.run(project, "5", "reviewed")
    assert "better by (95 %)" in capsys.readouterr().out
    monkeypatch.setattr(quality, "GATES", {gate: quality.GATES[gate] | {"better": None, "not_worse": 0}})
    assert promote.run(project, "5", "reviewed") == 5


def test_version_whose_schema_is_another_is_not_evaluated_again(
    project: config.Settings, compared: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titanic_survival.toolkit.training.evaluation.evaluate_version", lambda *_: None)
    with pytest.raises(UserError, match="its schema is not that of"):
        promote.run(project, "5", "reviewed")


def test_forced_version_is_champion_and_the_history_names_its_gates(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.run(project, "5", "the champion had leaked", force=True)
    assert champion(registry) == 5
    (event,) = history.events(registry)
    assert (event.action, event.why) == ("forced", "the champion had leaked; in spite of its gates: accuracy is 0")
    show_history.run(project)
    assert "forced by" in capsys.readouterr().out
    assert report._outcome(registry.get("5")).startswith("**It failed its gates and is champion**")
    promote.run(project, "2", "")
    assert promote.roll_back(project, "") == 5


@pytest.mark.parametrize("why", ["", promote.NO_REASON])
def test_force_needs_a_reason(project: config.Settings, registry: Registry, why: str) -> None:
    with pytest.raises(UserError, match="FORCE=1 needs a reason"):
        promote.run(project, "5", why, force=True)
    assert champion(registry) is None


def test_unknown_version_names_those_there_are(project: config.Settings, registry: Registry) -> None:
    with pytest.raises(UserError, match=r"'9'.*does not exist; there are: 5, 4, 3, 2, 1"):
        promote.run(project, "9", "")


@pytest.mark.parametrize(
    ("promoted", "rollbacks"),
    [
        ([1, 2], [1]),
        ([1, 2, 3], [2, 1]),
        ([1, 2, 1], [2, 1]),
        ([1, 2, 1, 3], [1, 2, 1]),
    ],
)
def test_rollback_goes_further_and_further_back(
    project: config.Settings, registry: Registry, promoted: list[int], rollbacks: list[int]
) -> None:
    for number in promoted:
        promote.run(project, str(number), "")
    assert [promote.roll_back(project, "worse") for _ in rollbacks] == rollbacks
    assert champion(registry) == rollbacks[-1]
    with pytest.raises(UserError, match="there is no earlier one"):
        promote.roll_back(project, "worse")
    assert champion(registry) == rollbacks[-1]


def test_rollback_is_recorded(project: config.Settings, registry: Registry) -> None:
    for number in ("1", "2"):
        promote.run(project, number, "")
    promote.roll_back(project, "it was worse")
    event = history.events(registry)[-1]
    assert (event.action, event.source, event.target, event.why) == ("rolled back", 2, 1, "it was worse")


def test_promotion_after_a_rollback_forgets_what_was_rolled_back(project: config.Settings, registry: Registry) -> None:
    for number in ("1", "2", "3"):
        promote.run(project, number, "")
    promote.roll_back(project, "")
    promote.run(project, "4", "")
    assert [promote.roll_back(project, "") for _ in range(2)] == [2, 1]


def test_champion_pointed_at_in_mlflow_itself_can_be_rolled_back(project: config.Settings, registry: Registry) -> None:
    promote.run(project, "1", "")
    registry.set_alias("champion", 3)
    assert promote.roll_back(project, "") == 1


def test_rollback_without_a_champion_names_the_cure(project: config.Settings, registry: Registry) -> None:
    with pytest.raises(UserError, match="First: make promote"):
        promote.roll_back(project, "")


def test_history_shows_versions_and_events(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.run(project, "2", "because")
    show_history.run(project)
    said = capsys.readouterr().out
    assert "Version 2 is champion now" in said
    assert "because" in said
    assert "failed" in said


def test_history_of_a_model_without_versions_names_the_cure(project: config.Settings) -> None:
    with pytest.raises(UserError, match="make train"):
        show_history.run(project.model_copy(update={"model_name": "another"}))


def event(action: str, source: int | None, target: int) -> Event:
    return Event(when="", who="", action=action, source=source, target=target, why="")


@pytest.mark.parametrize(
    ("events", "stack"),
    [
        ([], []),
        ([event("promoted", None, 1), event("promoted", 1, 2)], [1, 2]),
        ([event("promoted", None, 1), event("promoted", 1, 2), event("rolled back", 2, 1)], [1]),
        ([event("promoted", None, 1), event("promoted", 3, 2)], [1, 3, 2]),
    ],
)
def test_champions_that_a_rollback_can_go_back_through(events: list[Any], stack: list[int]) -> None:
    assert history.champions(events) == stack
