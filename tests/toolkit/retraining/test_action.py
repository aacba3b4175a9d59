"""A request becomes a training once: the same reason, the cooldown, the daily cap, processes at the same moment."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from titanic_survival import config
from titanic_survival import history as show_history
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.common.names import DATA
from titanic_survival.toolkit.registry import history, retrainings
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.registry.retrainings import CLAIMED, FAILED, STARTED, UNANSWERED, Retraining
from titanic_survival.toolkit.retraining import action
from titanic_survival.toolkit.retraining.limits import Limits
from titanic_survival.toolkit.retraining.local import Local
from titanic_survival.toolkit.retraining.request import Outcome, Request, Start, UnansweredError

REQUEST = Request.of("titanic", 1, "drift of fare is 0.4", ["drift above 0.25 in 7 days"], "0a1b")
OTHER = Request.of("titanic", 1, "accuracy is 0.6", ["accuracy below 0.7 in 30 days"])
LIMITS = Limits(24, 2)


class Counting:
    """A trigger that starts nothing, and counts."""

    name = "counting"

    def __init__(self, error: BaseException | None = None) -> None:
        self.error, self.started = error, list[str]()

    def start(self, request: Request, claim: str) -> Start:
        """Count a training."""
        if self.error:
            raise self.error
        self.started.append(claim)
        return Start("https://ci.example.com/1")


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing wait for the claims of others, where there are none."""
    monkeypatch.setattr(action, "sleep", lambda seconds: None)


@pytest.fixture
def registry(project: config.Settings) -> Registry:
    """Return a registry of two versions, of which the first is champion."""
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    first = registry.client.get_model_version(project.model_name, "1")
    registry.client.create_model_version(project.model_name, first.source, tags=first.tags | {DATA: "newer rows"})
    history.move_champion(registry, 1, history.PROMOTED, "for the test")
    return registry


@pytest.fixture
def trigger() -> Counting:
    return Counting()


def act(registry: Registry, request: Request, trigger: Any, limits: Limits = LIMITS) -> Outcome:
    return action.act(registry, request, trigger, limits)


def recorded(registry: Registry) -> list[Retraining]:
    return [one for one in retrainings.recorded(registry.tags()).values() if one]


@pytest.fixture
def earlier(registry: Registry) -> Callable[..., None]:
    """Return a function that moves all that was recorded some hours into the past."""

    def earlier(hours: float) -> None:
        for tag, one in retrainings.recorded(registry.tags()).items():
            registry.delete_tag(tag)
            if one:
                when = one.time - timedelta(hours=hours)
                retrainings.claim(registry, one._replace(when=when.isoformat()), when)
        for tag in [tag for tag in registry.tags() if tag.startswith(history.HISTORY)]:
            event = json.loads(registry.tags()[tag])
            when = datetime.fromisoformat(event["when"]) - timedelta(hours=hours)
            registry.set_tag(tag, json.dumps(event | {"when": when.isoformat()}))

    return earlier


def test_training_is_started_and_recorded(registry: Registry, trigger: Counting) -> None:
    outcome = act(registry, REQUEST, trigger)
    assert outcome == ("started", "A training was started by counting: https://ci.example.com/1.")
    [attempt] = recorded(registry)
    assert (attempt.state, attempt.version, attempt.key, attempt.trigger) == (STARTED, 1, REQUEST.key, "counting")
    assert (attempt.why, attempt.run, attempt.result) == (REQUEST.reason, "0a1b", "https://ci.example.com/1")
    assert attempt.time.tzinfo and attempt.who
    assert trigger.started == [tag for tag in registry.tags() if tag.startswith(retrainings.PREFIX)]


def test_same_reason_is_acted_on_once(registry: Registry, trigger: Counting, earlier: Callable[..., None]) -> None:
    act(registry, REQUEST, trigger)
    earlier(1000)
    # Other figures of the same rules are no other reason.
    again = act(registry, REQUEST._replace(reason="drift of fare is 0.5", run="2"), trigger)
    assert again.state == "skipped"
    assert again.sentence.startswith("No training is started: version 1 and the same rules had a training on 2026-")
    assert act(registry, OTHER, trigger).state == "started"
    earlier(1000)
    assert act(registry, REQUEST._replace(version=2), trigger).state == "started"
    assert len(trigger.started) == len(recorded(registry)) == 3


def test_champion_promoted_since_resets_the_reason(
    registry: Registry, trigger: Counting, earlier: Callable[..., None]
) -> None:
    act(registry, REQUEST, trigger)
    earlier(100)
    history.move_champion(registry, 2, history.PROMOTED, "better")
    history.move_champion(registry, 1, history.ROLLED_BACK, "it was not")
    assert act(registry, REQUEST, trigger).state == "started"
    earlier(100)
    # An approval changes nothing.
    history.move_champion(registry, 1, history.APPROVED, "looked at it")
    assert act(registry, REQUEST, trigger).state == "skipped"


def test_successor_of_the_same_rows_is_not_trained_again(
    registry: Registry, trigger: Counting, earlier: Callable[..., None]
) -> None:
    assert registry.get("1").tags[DATA]
    act(registry, REQUEST, trigger)
    earlier(1000)
    registry.set_version_tags(2, {DATA: registry.get("1").tags[DATA]})
    history.move_champion(registry, 2, history.PROMOTED, "gates passed after training")
    successor = REQUEST._replace(version=2)
    outcome = act(registry, successor, trigger)
    assert outcome.state == "skipped" and "on the same rows as version 1; have load()" in outcome.sentence
    # Other rules, and newer rows, are another matter; versions of earlier releases do not say.
    assert act(registry, OTHER._replace(version=2), trigger, Limits(0, 9)).state == "started"
    registry.set_version_tags(2, {DATA: ""})
    assert act(registry, successor, trigger, Limits(0, 9)).state == "started"


def test_cooldown_holds_for_every_reason(registry: Registry, trigger: Counting, earlier: Callable[..., None]) -> None:
    act(registry, REQUEST, trigger)
    earlier(23.9)
    outcome = act(registry, OTHER, trigger)
    assert outcome.state == "skipped" and "RETRAIN_COOLDOWN_HOURS=24 are over on 20" in outcome.sentence
    earlier(0.2)
    assert act(registry, OTHER, trigger).state == "started"


def test_daily_cap(registry: Registry, trigger: Counting, earlier: Callable[..., None]) -> None:
    limits = Limits(0, 2)
    requests = [Request.of("titanic", 1, "", [name]) for name in "abc"]
    assert [act(registry, one, trigger, limits).state for one in requests] == ["started", "started", "skipped"]
    assert "2 of RETRAIN_DAILY_CAP=2" in act(registry, requests[2], trigger, limits).sentence
    earlier(24.1)
    assert act(registry, requests[2], trigger, limits).state == "started"


def test_failed_trigger_uses_nothing_up_and_is_visible(registry: Registry, trigger: Counting) -> None:
    for _ in range(5):
        outcome = act(registry, REQUEST, Counting(UserError("GitHub answered 401: make a token.")))
        assert outcome == ("failed", "GitHub answered 401: make a token.")
    act(registry, OTHER, Counting(UserError("another")))
    # Of one reason, the last failure is kept: a wrong token must not fill the history.
    assert sorted((one.state, one.result) for one in recorded(registry)) == [
        ("failed", "GitHub answered 401: make a token."),
        ("failed", "another"),
    ]
    assert act(registry, REQUEST, trigger).state == "started"


def test_attempt_without_an_answer_counts_as_a_training_for_a_day(
    registry: Registry, trigger: Counting, earlier: Callable[..., None]
) -> None:
    assert act(registry, REQUEST, Counting(UnansweredError("no answer"))) == ("failed", "no answer")
    assert [one.state for one in recorded(registry)] == [UNANSWERED]
    assert "the same rules may have had a training on 20" in act(registry, REQUEST, trigger).sentence
    assert "RETRAIN_COOLDOWN_HOURS=24" in act(registry, OTHER, trigger).sentence
    assert "1 of RETRAIN_DAILY_CAP=1" in act(registry, OTHER, trigger, Limits(0, 1)).sentence
    assert trigger.started == []
    earlier(24.1)
    assert act(registry, REQUEST, trigger).state == "started"


def test_interrupted_attempt_is_recorded(registry: Registry) -> None:
    with pytest.raises(KeyboardInterrupt):
        act(registry, REQUEST, Counting(KeyboardInterrupt()))
    assert [(one.state, one.result) for one in recorded(registry)] == [
        ("unanswered", "interrupted (KeyboardInterrupt)")
    ]


def test_interrupted_training_on_this_machine_may_begin_again(registry: Registry, trigger: Counting) -> None:
    class Interrupted(Local):
        """A training that is interrupted."""

        def start(self, request: Request, claim: str) -> Start:
            """Be interrupted."""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        act(registry, REQUEST, Interrupted([], config.ROOT))
    assert [one.state for one in recorded(registry)] == [FAILED]
    assert act(registry, REQUEST, trigger).state == "started"


class AwayAfterTheClaim(Registry):
    """A registry that takes a claim, and then nothing more."""

    claimed = False

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag, once."""
        if self.claimed:
            raise MlflowException("the disk is full")
        self.claimed = True
        super().set_tag(key, value)


def test_training_that_cannot_be_recorded_is_heard_of_and_not_started_again(
    registry: Registry, trigger: Counting
) -> None:
    outcome = act(AwayAfterTheClaim(registry.uri, registry.name), REQUEST, trigger)
    assert outcome.state == "started"
    assert "https://ci.example.com/1. This is not recorded, so the same reason waits for a day: MLflow" in (
        outcome.sentence
    )
    assert outcome.sentence.endswith("the disk is full")
    assert act(registry, REQUEST, trigger).state == "skipped"
    assert len(trigger.started) == 1


def test_failure_that_cannot_be_recorded_is_heard_of(registry: Registry) -> None:
    outcome = act(AwayAfterTheClaim(registry.uri, registry.name), REQUEST, Counting(UserError("wrong token.")))
    assert outcome.state == "failed" and outcome.sentence.startswith("wrong token. This is not recorded")


def test_claim_that_was_written_too_late_is_withdrawn(
    registry: Registry, trigger: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 107.0])
    monkeypatch.setattr(action, "monotonic", lambda: next(times))
    outcome = act(registry, REQUEST, trigger)
    assert outcome.state == "failed"
    assert f"MLflow at {registry.uri} took 7 s to read and write tags, and may take 5 s. Try again" in outcome.sentence
    assert trigger.started == recorded(registry) == []


def test_clock_that_was_set_back_starts_no_second_training(registry: Registry, trigger: Counting) -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    attempt = Retraining(ahead.isoformat(), "x", STARTED, "x", 1, REQUEST.key, "")
    retrainings.claim(registry, attempt, ahead)
    assert "the same rules had a training on 20" in act(registry, REQUEST, trigger).sentence
    # No cooldown lasts for 400 days.
    assert act(registry, OTHER, trigger).state == "started"


def test_claim_of_a_process_that_ended_does_not_last(
    registry: Registry, trigger: Counting, earlier: Callable[..., None]
) -> None:
    now = datetime.now(UTC)
    retrainings.claim(registry, Retraining(now.isoformat(), "x", CLAIMED, "x", 1, REQUEST.key, ""), now)
    assert act(registry, REQUEST, trigger).state == "skipped"
    earlier(24.1)
    assert act(registry, REQUEST, trigger).state == "started"


def test_processes_at_the_same_moment_start_one_training(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "sleep", time.sleep)
    trigger, outcomes, barrier = Counting(), list[Outcome](), threading.Barrier(4)

    def monitor() -> None:
        barrier.wait()
        outcomes.append(action.act(registry, REQUEST, trigger, LIMITS, wait=3))

    threads = [threading.Thread(target=monitor) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trigger.started) == 1
    assert sorted(outcome.state for outcome in outcomes) == ["skipped", "skipped", "skipped", "started"]
    assert any("another process was faster" in outcome.sentence for outcome in outcomes)
    assert [one.state for one in recorded(registry)] == [STARTED]


def test_later_claim_gives_way_though_it_is_read_first(registry: Registry, trigger: Counting) -> None:
    now = datetime.now(UTC)

    class Slow(Registry):
        """A registry in which another process writes an earlier claim after this one has looked."""

        looked = False

        def tags(self) -> dict[str, str]:
            found = super().tags()
            if not self.looked:
                self.looked = True
                retrainings.claim(registry, Retraining(now.isoformat(), "x", CLAIMED, "x", 1, REQUEST.key, ""), now)
            return found

    time.sleep(0.001)
    outcome = act(Slow(registry.uri, registry.name), REQUEST, trigger)
    assert outcome.state == "skipped" and "another process was faster" in outcome.sentence
    assert [one.who for one in recorded(registry)] == ["x"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "null",
        '{"when": "2026-01-01T00:00:00+00:00"}',
        {"when": 1},
        {"when": "yesterday"},
        {"when": "2026-01-01T00:00:00"},
        {"version": "1"},
        {"version": True},
        {"state": "invented"},
        {"why": ["a"]},
        {"key": None},
        50_000 * "[",
    ],
)
def test_damaged_tag_stops_nothing(
    project: config.Settings,
    registry: Registry,
    trigger: Counting,
    content: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    valid = Retraining("2026-01-01T00:00:00+00:00", "x", STARTED, "x", 1, REQUEST.key, "")._asdict()
    text = content if isinstance(content, str) else json.dumps(valid | content)
    registry.client.set_registered_model_tag(registry.name, "retraining.20260101T000000.000000.aaaa", text[:4900])
    registry.client.set_registered_model_tag(registry.name, "retraining.", text[:4900])
    assert act(registry, REQUEST, trigger).state == "started"
    capsys.readouterr()
    show_history.run(project)
    assert "The tag retraining.20260101T000000.000000.aaaa cannot be read" in capsys.readouterr().out


def test_history_shows_retrainings_with_the_promotions(
    project: config.Settings, registry: Registry, trigger: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    act(registry, REQUEST, Counting(UserError("no \x1b[2J token")))
    act(registry, REQUEST, trigger)
    history.move_champion(registry, 2, history.PROMOTED, "better")
    capsys.readouterr()
    show_history.run(project, as_json=True)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed, started = (entry for entry in entries if entry["kind"] == "retraining")
    assert [entry["action"] for entry in (failed, started)] == ["failed", "started"]
    assert (started["version"], started["target"], started["why"]) == (1, "counting", REQUEST.reason)
    assert started["place"] == "https://ci.example.com/1" and started["tag"] == trigger.started[0]
    show_history.run(project)
    said = capsys.readouterr().out
    assert "UTC  A training to replace version 1 was started (by counting for " in said
    assert f": {REQUEST.reason}; https://ci.example.com/1)." in said
    assert "A training to replace version 1 failed or could not be started (by counting for " in said
    assert "no ?[2J token)." in said and "\x1b" not in said
