"""The audit log: who did what, when, why and on which evidence; for people and as JSON; and who wrote around it."""

import json
import threading
from typing import Any

import pytest
from titanic_survival import config, promote
from titanic_survival import history as show_history
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.registry import audit_log, canaries, history
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.registry.deployments import record

KEYS = (
    "kind action when until who confirmed why version previous digest trained_by approved forced gates target place "
    "serves image percent figures tag"
)


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of three versions, which the training made champion, and its tags, one event."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    first = registry.client.get_model_version(project.model_name, "1")
    for _ in range(2):
        registry.client.create_model_version(project.model_name, first.source, tags=first.tags)
    for number in (1, 2, 3):
        registry.set_version_tags(number, {"gates": "passed"})
    if registry.find("champion") is None:
        history.move_champion(registry, 1, history.PROMOTED, "for the test")
    return registry


def log(project: config.Settings, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the entries that the command prints as JSON."""
    capsys.readouterr()
    show_history.run(project, as_json=True)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_figures_of_a_canary_are_short_for_people_and_whole_in_json(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = {"criterion": "errors", "champion": 0.012346, "challenger": 0.20001, "low": -0.00041237, "high": 1e-06}
    canaries.record(registry, canaries.PASSED, 2, 1, 10, "not worse", [figure | {"verdict": "not worse"}])
    assert log(project, capsys)[-1]["figures"] == [figure | {"verdict": "not worse"}]
    show_history.run(project)
    assert "errors 0.2 instead of 0.0123 (-0.000412 to 1e-06: not worse)" in capsys.readouterr().out


def actions(entries: list[dict[str, Any]]) -> list[tuple[str, int | None, int | None]]:
    return [(entry["action"], entry["previous"], entry["version"]) for entry in entries]


def test_entry_says_who_what_when_why_and_on_which_evidence(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = {"metric": "accuracy", "value": 0.804598, "bound": "at least 0.7", "passed": True, "reason": ""}
    gate |= {"champion": 0.79, "better": 0.0114943, "low": -0.0205103, "high": 0.04, "confidence": 0.95, "rows": 261}
    same = gate | {"metric": "loss", "better": 0.0, "low": 0.0, "high": 0.0}
    registry.set_version_tags(2, {"gates.results": json.dumps({"gates": [gate, same]}), "trained_by": "ada"})
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "grace")
    promote.run(project, "2", "reviewed")
    entry = log(project, capsys)[-1]
    assert list(entry) == KEYS.split()
    assert entry["when"].endswith("+00:00") and entry["tag"].startswith("history.")
    digest = registry.get("2").digest
    wanted = {"kind": "champion", "action": "promoted", "who": "grace", "why": "reviewed", "version": 2, "previous": 1}
    wanted |= {"digest": digest, "trained_by": "ada", "confirmed": False, "approved": False, "forced": False}
    assert wanted | {"gates": [gate, same]} == {key: entry[key] for key in (*wanted, "gates")}
    show_history.run(project)
    said = capsys.readouterr().out
    assert f"digest {digest[:12]}; trained by ada; gates: accuracy" in said
    assert "accuracy 0.8046 (at least 0.7; better by 0.01149, -0.02051 to 0.04)" in said
    assert "loss 0.8046 (at least 0.7; no difference)" in said
    assert "name confirmed" not in said


def test_training_records_the_gates_that_it_rests_on(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first = log(project, capsys)[0]
    assert (first["version"], first["why"]) == (1, "gates passed after training")
    assert first["gates"] and all(gate["passed"] and gate["value"] is not None for gate in first["gates"])
    assert first["trained_by"] == first["who"]


def test_forced_promotion_is_marked_with_the_gate_that_failed(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = json.dumps({"gates": [{"metric": "accuracy", "value": 0.1, "bound": "at least 0.7", "passed": False}]})
    registry.set_version_tags(2, {"gates": "failed", "gates.failed": "accuracy is 0.1", "gates.results": failed})
    promote.run(project, "2", "leaked", force=True)
    entry = log(project, capsys)[-1]
    assert entry["forced"] and not entry["gates"][0]["passed"]
    show_history.run(project)
    assert "accuracy 0.1 (at least 0.7) FAILED" in capsys.readouterr().out


def test_rollbacks_deployments_and_failures_are_in_the_log(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.run(project, "2", "")
    record(registry, "local", "host:3000", "deployed", champion=2, serves="version 2")
    promote.roll_back(project, "worse")
    record(registry, "local", "host:3000", "removed")
    entries = log(project, capsys)
    assert {entry["action"] for entry in entries} == {"promoted", "deployed", "rolled back", "removed"}
    (deployed,) = [entry for entry in entries if entry["action"] == "deployed"]
    assert (deployed["kind"], deployed["version"], deployed["place"]) == ("deployment", 2, "host:3000")
    assert deployed["until"] and deployed["until"].endswith("+00:00")
    assert all(entry["tag"] in registry.tags() for entry in entries)


def test_entries_of_earlier_releases_are_read(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {"when": "2020-01-01T10:00:00+00:00", "who": "ada", "action": "promoted", "source": None, "target": 3}
    registry.set_tag("history.20200101T100000.000000", json.dumps(old | {"why": "the first"}))
    entry = log(project, capsys)[0]
    assert (entry["who"], entry["why"], entry["version"]) == ("ada", "the first", 3)
    assert entry["digest"] is None and entry["gates"] is None


def test_earlier_releases_read_the_entries_of_this_one(project: config.Settings, registry: Registry) -> None:
    promote.run(project, "2", "")
    for key, text in registry.tags().items():
        if key.startswith("history."):
            assert set(json.loads(text)) == {"when", "who", "action", "source", "target", "why"}


def test_alias_that_was_moved_by_hand_is_seen_as_such(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.set_alias("champion", 3)
    assert actions(log(project, capsys))[1:] == [("moved", 1, 3)]
    promote.run(project, "2", "")
    registry.client.delete_registered_model_alias(registry.name, "champion")
    entries = log(project, capsys)
    assert actions(entries)[1:] == [("moved", 1, 3), ("promoted", 3, 2), ("moved", 2, None)]
    assert all(entry["who"] is entry["when"] is None for entry in entries if entry["action"] == "moved")
    show_history.run(project)
    said = capsys.readouterr().out
    assert "Version 3 became champion, instead of version 1 (moved outside of make promote" in said
    assert "No version was champion any more, instead of version 2" in said


def test_damaged_entry_is_shown_as_such_and_stops_nothing(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    promote.run(project, "2", "")
    for text in ("", "mine", "[]", "{}", '{"when": 1}', '{"target": "2"}', "[" * 4000):
        registry.set_tag("history.20200101T100000.000000", text)
        registry.set_tag("evidence.20200101T100000.000000", text)
        registry.set_tag("deployment.20200101T100000.000000.0000", text)
        entries = log(project, capsys)
        assert actions(entries)[0] == ("unreadable", None, None)
        assert [entry["kind"] for entry in entries if entry["action"] == "unreadable"] == ["champion", "deployment"]
    show_history.run(project)
    said = capsys.readouterr().out
    assert "The tag history.20200101T100000.000000 cannot be read" in said
    assert "The tag deployment.20200101T100000.000000.0000 cannot be read" in said
    assert promote.roll_back(project, "") == 1


def test_value_of_another_kind_damages_an_entry(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for key in registry.tags() if key.startswith("history."))
    good = json.loads(registry.tags()[key])
    for wrong in ({"target": "1"}, {"target": True}, {"source": [1]}, {"who": {}}, {"why": None}):
        registry.set_tag(key, json.dumps(good | wrong))
        assert log(project, capsys)[0]["action"] == "unreadable"
    registry.set_tag(key, json.dumps(good))
    evidence = key.replace("history", "evidence")
    registry.set_tag(evidence, json.dumps({"digest": 1, "trained_by": None, "confirmed": "yes", "gates": [1, {}]}))
    (entry,) = log(project, capsys)
    assert (entry["confirmed"], entry["gates"]) == (False, [{}])
    registry.set_tag(evidence, json.dumps({"digest": "", "confirmed": True, "gates": []}))
    show_history.run(project)
    assert "trained by unknown; name confirmed by the server" in capsys.readouterr().out
    deployment = {"when": 1, "who": "x", "action": "deployed", "target": "local", "place": "x", "champion": "1"}
    registry.set_tag("deployment.20200101T100000", json.dumps(deployment | {"serves": "", "image": ""}))
    show_history.run(project)


def test_reason_cannot_pass_for_another_entry(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "ok).\n2026-01-01 10:00 UTC  Version 3 is champion now (promoted by boss: \x1b[2J\x9b1A" + 5000 * "x"
    promote.run(project, "2", why)
    entry = log(project, capsys)[-1]
    assert why.startswith(entry["why"]) and len(entry["why"]) > 4000
    show_history.run(project)
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("2026-01-01 10:00 UTC") for line in lines)
    assert not any("\x1b" in line or "\x9b" in line for line in lines)
    assert max(map(len, lines)) < 1000


def test_more_gates_than_a_tag_holds_keep_those_that_failed(registry: Registry) -> None:
    gates = [{"metric": f"accuracy/{n}", "reason": 100 * "x", "passed": n != 50} for n in range(100)]
    history.move_champion(registry, 2, history.PROMOTED, "", gates)
    found = list(history.recorded(registry.tags()).values())[-1][1]
    assert found is not None and 10 < len(found.gates) < 100
    assert "accuracy/50" in [gate["metric"] for gate in found.gates]


def test_two_promotions_at_once_are_both_recorded_and_one_hears_of_the_other(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both have read the champion before either sets it, and both have set it before either looks again.
    barrier, move = threading.Barrier(2, timeout=60), Registry.set_alias

    def at_once(self: Registry, alias: str, version: int) -> None:
        barrier.wait()
        move(self, alias, version)
        barrier.wait()

    monkeypatch.setattr(Registry, "set_alias", at_once)
    outcomes: dict[int, str] = {}

    def promote_one(number: int) -> None:
        try:
            history.move_champion(registry, number, history.PROMOTED, "")
            outcomes[number] = ""
        except UserError as error:
            outcomes[number] = str(error)

    writers = [threading.Thread(target=promote_one, args=[number]) for number in (2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    champion = registry.get("champion").number
    assert outcomes[champion] == ""
    assert f"but version {champion} is champion: somebody else" in outcomes[5 - champion]
    entries = log(project, capsys)
    assert sorted(actions(entries)[1:]) == [("promoted", 1, 2), ("promoted", 1, 3)]


def test_order_is_that_of_time(registry: Registry) -> None:
    record(registry, "local", "host:3000", "deployed", champion=1, serves="version 1")
    entries = audit_log.entries(registry.tags(), registry.versions())
    assert [entry.kind for entry in entries] == ["champion", "deployment"]
