"""The way of a canary through its steps, and what comes between: interruptions, outages, other people."""

import json
import multiprocessing
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from titanic_survival import canary as command
from titanic_survival import config, history, promote, train
from titanic_survival.model import quality
from titanic_survival.toolkit.canary import begin, state
from titanic_survival.toolkit.canary.canary import Canary, Outcome
from titanic_survival.toolkit.canary.comparison import Margins
from titanic_survival.toolkit.canary.counting import ServiceCounting
from titanic_survival.toolkit.canary.ledger import EndedError, Ledger
from titanic_survival.toolkit.canary.state import Mark, State
from titanic_survival.toolkit.canary.step import Plan, Surroundings
from titanic_survival.toolkit.common import progress
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.monitoring.version_counts import ServiceCounts, VersionCounts
from titanic_survival.toolkit.registry import canaries
from titanic_survival.toolkit.registry.client import Registry, connect
from titanic_survival.toolkit.release.targets import RolloutError

STEPS = (10, 50, 100)


class Service:
    """A service whose versions get 300 requests each between two looks, or fewer."""

    source, settling = "a service", 0.0

    def __init__(self) -> None:
        self.requests, self.errors, self.looks = 300, 0, 0
        self.served: list[dict[int, int]] = []
        self.marks: list[Mark] = []
        #: Called at each look, and with what is to be served.
        self.at_look: Callable[[int], None] = lambda look: None
        self.at_serve: Callable[[Mapping[int, int]], None] = lambda weights: None

    def mark(self) -> Mark:
        """Return now."""
        return Mark(time=datetime.now(UTC), counts={1: self._counts(0), 2: self._counts(self.errors)})

    def since(self, mark: Mark) -> dict[int, VersionCounts]:
        """Return the counts since then; each call is one look later."""
        self.marks.append(mark)
        self.looks += 1
        self.at_look(self.looks)
        now = {1: self._counts(0), 2: self._counts(self.errors)}
        return {number: counts.since(mark.counts.get(number, VersionCounts())) for number, counts in now.items()}

    def serve(self, weights: Mapping[int, int]) -> None:
        """Note the weights."""
        self.at_serve(weights)
        self.served.append(dict(weights))

    def _counts(self, errors: int) -> VersionCounts:
        total = self.looks * self.requests
        return VersionCounts(
            requests={"200": total, "500": self.looks * errors}, seconds={"0.01": total, "+Inf": total}
        )


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no other that begins at the same moment."""
    monkeypatch.setattr(begin, "CLAIM_SECONDS", 0)


@pytest.fixture
def registry(versions: Callable[[int], Registry]) -> Registry:
    """Return a registry of three versions that have passed their gates; 1 is champion, 2 challenger."""
    registry = versions(3)
    registry.set_version_tags(1, {"gates": "passed"})
    registry.set_alias("champion", 1)
    registry.set_alias("challenger", 2)
    return registry


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def run(project: config.Settings, registry: Registry, service: Service) -> Callable[..., Outcome]:
    """Return a function that begins a canary, or goes on with it."""

    @contextmanager
    def open_registry() -> Iterator[Registry]:
        yield registry

    def run(seconds: float = 5, labels: int = 0, reference: str = "", approval: str = "") -> Outcome:
        around = Surroundings(
            service.serve,
            service,
            lambda number, why: _ignore(promote.run(project, str(number), why)),
            lambda version: approval,
            0.001,
        )
        begun = begin.begin(registry, reference, STEPS)
        return Canary(Ledger(begun, open_registry), Plan(500, labels, seconds, Margins()), around).run()

    return run


def _ignore(result: object) -> None:
    pass


def events(registry: Registry) -> list[tuple[str, int]]:
    """Return action and percentage of each event."""
    return [(event.action, event.percent) for event in canaries.recorded(registry.tags()).values() if event]


def left(registry: Registry) -> list[str]:
    """Return the tags of a canary in progress."""
    return [key for key in registry.tags() if key == "traffic" or (key.startswith("canary.") and ".event." not in key)]


def champion(registry: Registry) -> int:
    return registry.get("champion").number


def test_challenger_that_is_not_worse_goes_through_the_steps_to_champion(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    seen: list[str] = []
    service.at_look = lambda look: seen.append(registry.tags()["traffic"])
    assert run().action == "promoted"
    assert service.served == [{1: 90, 2: 10}, {1: 50, 2: 50}, {2: 100}, {2: 100}]
    assert list(dict.fromkeys(seen)) == ["champion=90,2=10", "champion=50,2=50", "2=100"]
    assert (champion(registry), left(registry)) == (2, [])
    steps = [("step passed", 10), ("step passed", 50), ("step passed", 100)]
    assert events(registry) == [("started", 0), *steps, ("promoted", 100)]


def test_promotion_names_the_canary_in_the_history(
    run: Callable[..., Outcome], project: config.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    capsys.readouterr()
    history.run(project)
    said = capsys.readouterr().out
    assert "Version 2 is champion now, instead of version 1" in said
    assert "canary: not worse: errors, slow requests, rejected requests" in said
    assert "Canary of version 2 beside 1 at 10 %: step passed by " in said
    assert "errors 0 instead of 0 (-0.00" in said
    history.run(project, as_json=True)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (entry,) = [entry for entry in entries if entry["percent"] == 50]
    assert (entry["kind"], entry["action"], entry["version"], entry["previous"]) == ("canary", "step passed", 2, 1)
    assert [figure["criterion"] for figure in entry["figures"]] == ["errors", "slow", "rejected"]
    assert entry["figures"][0]["counts"][1] >= 500


def test_challenger_that_is_worse_later_goes_back_from_there(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    def fail(weights: Mapping[int, int]) -> None:
        service.errors = 30 if weights == {1: 50, 2: 50} else 0

    service.at_serve = fail
    outcome = run()
    assert (outcome.action, champion(registry), left(registry)) == ("went back", 1, [])
    assert outcome.why.startswith("worse: errors ")
    assert events(registry)[-2:] == [("step passed", 10), ("went back", 50)]
    assert service.served[-1] == {1: 100}


def test_without_traffic_it_goes_back_and_says_what_was_missing(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    service.requests = 0
    outcome = run(seconds=0.2)
    assert outcome.action == "went back"
    assert "CANARY_SECONDS): no request has reached either version in this step. Give it more time" in outcome.why
    assert left(registry) == []


def test_progress_says_what_it_waits_for(
    run: Callable[..., Outcome], service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    service.errors = 3  # of 303 requests: neither worse nor not worse, however many there are
    outcome = run(seconds=0.2)
    reason = r"the interval is still too wide: errors may be worse by up to \d\.\d % \(1\.0 % allowed\)"
    assert re.search(reason, outcome.why)
    said = capsys.readouterr().out
    assert "303 of 500 requests to version 2; " in said
    assert re.search(rf"10 %: 100%  [\d,]+ requests, [\d,]+ a second; {reason}; next look at [\d,]+ requests", said)


def test_it_waits_for_labels_if_some_are_wanted(run: Callable[..., Outcome]) -> None:
    assert "0 of 40 labels for version 2" in run(seconds=0.2, labels=40).why


def test_interrupted_it_goes_on_at_the_step_where_it_was_with_what_was_counted(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    def interrupt(look: int) -> None:
        if registry.tags()["traffic"] == "champion=50,2=50":
            raise KeyboardInterrupt

    service.at_look = interrupt
    with pytest.raises(KeyboardInterrupt):
        run()
    tags = registry.tags()
    assert tags["traffic"] == "champion=50,2=50"
    kept = state.read(tags)
    assert kept is not None and kept.mark is not None and kept.before.answered >= 500
    registry.set_alias("challenger", 3)  # a training meanwhile
    service.at_look = lambda look: None
    service.served.clear()
    service.marks.clear()
    assert run().action == "promoted"
    assert service.served[0] == {1: 50, 2: 50}
    assert service.marks[0] == kept.mark
    assert [action for action, _ in events(registry)].count("started") == 1
    assert champion(registry) == 2


@pytest.mark.parametrize("written", range(5))
def test_step_is_counted_once_whenever_the_process_is_killed(
    written: int, run: Callable[..., Outcome], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, set_tag = [written], Registry.set_tag

    def kill(registry: Registry, key: str, value: str) -> None:
        # The second step ends with: its event, the state, that of the next step, its weights, where it begins.
        if registry.tags().get("traffic") == "champion=50,2=50":
            left[0] -= 1
        if left[0] == -1:
            raise SystemExit
        set_tag(registry, key, value)

    monkeypatch.setattr(Registry, "set_tag", kill)
    monkeypatch.setattr(Ledger, "release", lambda ledger: None)
    monkeypatch.setattr(state.psutil, "pid_exists", lambda pid: False)
    with pytest.raises(SystemExit):
        run()
    assert run().action == "promoted"
    counts = {
        event.percent: event.figures[0]["counts"][0]
        for event in canaries.recorded(registry.tags()).values()
        if event and event.action == "step passed"
    }
    assert counts[100] == counts[10] + counts[50]


def test_second_canary_says_that_one_is_in_progress(run: Callable[..., Outcome], service: Service) -> None:
    found: list[str] = []

    def again(look: int) -> None:
        if look == 1:
            with pytest.raises(UserError) as error:
                run()
            found.append(str(error.value))

    service.at_look = again
    assert run().action == "promoted"
    assert "A canary of version 2 is in progress, at 10 %" in found[0]
    assert "make canary ARGS=--abort" in found[0]


def test_of_two_canaries_that_begin_at_once_one_goes_on(
    run: Callable[..., Outcome], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begin.begin(registry, "3", STEPS)
    registry.delete_tag(state.STATE)
    monkeypatch.setattr(begin, "time", SimpleNamespace(sleep=lambda seconds: state.write(registry, other)))
    with pytest.raises(UserError, match=r"Another make canary of .* has begun at the same moment, so this one ends"):
        run()
    assert "traffic" not in registry.tags()
    found = state.read(registry.tags())
    assert found is not None and found.holder == other.holder


def held(registry: Registry, **changes: Any) -> State:
    """Write the state of a canary that another process works on, and return it."""
    found = begin.begin(registry, "", STEPS).in_step(0).model_copy(update=changes)
    state.write(registry, found)
    registry.set_tag("traffic", found.traffic)
    return found


def test_canary_whose_process_was_killed_is_taken_over_at_once(run: Callable[..., Outcome], registry: Registry) -> None:
    process = multiprocessing.get_context("fork").Process(target=lambda: None)
    process.start()
    process.join()
    here = state.new_holder().split(":")[0]
    held(registry, holder=f"{here}:{process.pid}:abc", sign=datetime.now(UTC))
    assert run().action == "promoted"


def test_canary_of_another_machine_is_taken_over_when_it_gives_no_sign(
    run: Callable[..., Outcome], registry: Registry
) -> None:
    found = held(registry, holder="elsewhere:1:abc", sign=datetime.now(UTC))
    with pytest.raises(UserError, match="elsewhere:1 works on it"):
        run()
    state.write(registry, found.model_copy(update={"sign": datetime.now(UTC) - timedelta(minutes=2)}))
    assert run().action == "promoted"


def test_process_whose_canary_was_taken_over_ends(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    def take(look: int) -> None:
        found = state.read(registry.tags())
        assert found is not None
        state.write(registry, found.model_copy(update={"holder": "elsewhere:1:abc"}))

    service.at_look = take
    with pytest.raises(EndedError, match=r"Another make canary .elsewhere:1:abc. has taken this one over"):
        run()
    assert registry.tags()["traffic"] == "champion=90,2=10"


def test_another_version_needs_an_end_of_the_first_canary(run: Callable[..., Outcome], registry: Registry) -> None:
    held(registry, holder="")
    with pytest.raises(UserError, match=r"make canary VERSION=2, or take it back by make canary ARGS=--abort"):
        run(reference="3")
    assert run(reference="2").action == "promoted"


def test_promotion_of_another_version_ends_the_canary_and_its_weights(
    run: Callable[..., Outcome], registry: Registry, service: Service, project: config.Settings
) -> None:
    service.at_look = lambda look: _ignore(promote.run(project, "3", "urgent"))
    with pytest.raises(EndedError, match=r"was ended meanwhile .ended by .*: version 3 was made champion"):
        run()
    assert (champion(registry), left(registry)) == (3, [])
    assert events(registry)[-1] == ("ended", 10)


def test_champion_that_was_moved_in_mlflow_ends_the_canary(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    service.at_look = lambda look: registry.set_alias("champion", 3)
    with pytest.raises(EndedError, match=r"ends, since version 3 is champion now"):
        run()
    assert (left(registry), events(registry)[-1]) == ([], ("ended", 10))


def test_traffic_that_somebody_has_set_stays(run: Callable[..., Outcome], registry: Registry, service: Service) -> None:
    service.at_look = lambda look: registry.set_tag("traffic", "champion=10,3=90")
    with pytest.raises(EndedError, match=r"the tag traffic was changed to 'champion=10,3=90'"):
        run()
    assert left(registry) == ["traffic"]
    with pytest.raises(UserError, match=r"splits the traffic already .champion=10,3=90"):
        run()


def test_canary_is_taken_back_by_hand(run: Callable[..., Outcome], registry: Registry, service: Service) -> None:
    service.at_look = lambda look: _ignore(begin.abort(registry, "complaints"))
    with pytest.raises(EndedError, match=r"aborted by .*: complaints"):
        run()
    assert (champion(registry), left(registry), events(registry)[-1]) == (1, [], ("aborted", 10))
    with pytest.raises(UserError, match=r"No canary of .* is in progress"):
        begin.abort(registry, "")


def test_canary_that_is_taken_back_while_it_rolls_out_stays_ended(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    service.at_serve = lambda weights: _ignore(begin.abort(registry, "complaints"))
    with pytest.raises(EndedError, match=r"aborted by .*: complaints"):
        run()
    assert (champion(registry), left(registry), events(registry)[-1]) == (1, [], ("aborted", 10))


STATE = '{"challenger": 2, "champion": 1, "steps": [5, 100], "step": %s, "begun": "2026-01-01T00:00Z", "sign": "%s"}'


@pytest.mark.parametrize(
    "text", ["{", STATE % (9, "2026-01-01T00:00Z"), STATE % (-1, "2026-01-01T00:00Z"), STATE % (0, "2026-01-01T00:00")]
)
def test_damaged_state_is_said_and_removed_by_hand(run: Callable[..., Outcome], registry: Registry, text: str) -> None:
    registry.set_tag("canary.state", text)
    with pytest.raises(UserError, match=r"canary.state of the model cannot be read.*--abort"):
        run()
    with pytest.raises(UserError, match="was damaged, and is removed"):
        begin.abort(registry, "")
    assert left(registry) == []
    assert run().action == "promoted"


@pytest.mark.parametrize("what", ["look", "serve"])
def test_outage_is_waited_for(what: str, run: Callable[..., Outcome], service: Service) -> None:
    failed: list[int] = []

    def fail(_: Any) -> None:
        if len(failed) < 5:
            failed.append(1)
            raise UserError("nobody answers")

    setattr(service, f"at_{what}", fail)
    assert run().action == "promoted"
    assert len(failed) == 5


def test_outage_that_lasts_ends_the_canary(run: Callable[..., Outcome], registry: Registry, service: Service) -> None:
    def fail(look: int) -> None:
        raise UserError("nobody answers\nat all")

    service.at_look = fail
    outcome = run(seconds=0.1)
    assert (outcome.action, left(registry)) == ("went back", [])
    assert "nobody answers" in outcome.why


def test_version_that_cannot_be_served_goes_back_at_once(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    def fail(weights: Mapping[int, int]) -> None:
        if 2 in weights:
            raise RolloutError("version 2 does not load")

    service.at_serve = fail
    outcome = run(seconds=60)
    assert outcome == Outcome("went back", "it could not be served: version 2 does not load")
    assert left(registry) == []


def test_approval_is_waited_for_before_the_whole_traffic(
    run: Callable[..., Outcome], registry: Registry, project: config.Settings, service: Service
) -> None:
    assert run(approval="nobody has approved it").action == "waits for approval"
    assert registry.tags()["traffic"] == "champion=50,2=50"
    assert events(registry)[-1] == ("waits for approval", 50)
    assert run(approval="nobody has approved it").action == "waits for approval"
    promote.run(project, "2", "reviewed")  # which is the approval
    assert (champion(registry), left(registry), events(registry)[-1]) == (2, [], ("promoted", 100))


def test_version_whose_promotion_fails_goes_back(
    run: Callable[..., Outcome], registry: Registry, service: Service
) -> None:
    registry.set_version_tags(2, {"gates": "failed", "gates.failed": "accuracy is 0"})
    outcome = run()
    assert outcome.action == "went back"
    assert "accuracy is 0" in outcome.why
    assert (champion(registry), left(registry)) == (1, [])


def test_there_is_no_canary_without_two_versions(run: Callable[..., Outcome], registry: Registry) -> None:
    registry.set_alias("challenger", 1)
    with pytest.raises(UserError, match=r"Version 1 is the champion already.*CANARY=1"):
        run()
    registry.client.delete_registered_model_alias(registry.name, "champion")
    with pytest.raises(UserError, match="no champion to compare with"):
        run()
    assert left(registry) == []


def test_counts_go_on_when_the_service_is_started_anew() -> None:
    # The second start has fewer requests than the first had, the third has more; its clock was set back.
    answers = [(50.0, 10), (50.0, 40), (60.0, 5), (60.0, 25), (40.0, 300), (40.0, 310)]

    def scrape() -> ServiceCounts:
        started, requests = answers.pop(0)
        return ServiceCounts(started, {1: VersionCounts(requests={"200": requests})})

    counting = ServiceCounting("", scrape)
    first = counting.mark()
    assert [counting.since(first)[1].answered for _ in range(3)] == [30, 35, 55]
    second = counting.mark()
    assert counting.since(second)[1].answered == 10
    answers.append((40.0, 320))
    assert counting.since(first)[1].answered == 30 + 25 + 320


def test_mark_of_a_service_that_was_started_anew_counts_for_no_version() -> None:
    def counts(started: float, champion: float, challenger: float, errors: float) -> ServiceCounts:
        versions = {
            1: VersionCounts(requests={"200": champion}),
            2: VersionCounts(requests={"200": challenger, "500": errors}),
        }
        return ServiceCounts(started, versions)

    mark = ServiceCounting("", lambda: counts(1, 1000, 100, 5)).mark()
    found = ServiceCounting("", lambda: counts(2, 3000, 200, 9)).since(mark)
    assert {number: (one.answered, one.status("5")) for number, one in found.items()} == {1: (3000, 0), 2: (209, 9)}


@pytest.mark.parametrize("bins", [0, 20, 60, 500])
def test_counts_that_are_too_many_for_a_tag_are_left_out(registry: Registry, bins: int) -> None:
    counts = VersionCounts(
        requests={"200": 1.0}, outputs={"y": {f"a bin with a long name {i}": 1.0 for i in range(bins)}}
    )
    mark = Mark(time=datetime.now(UTC), started=1.0, counts={1: counts, 2: counts, 3: counts})
    begun = begin.begin(registry, "", STEPS).in_step(1).marked(mark).model_copy(update={"before": counts})
    state.write(registry, begun)
    kept = state.read(registry.tags())
    assert kept is not None and kept.step == 1
    assert (kept.mark is not None, kept.begin is not None) == (bins < 60, bins < 60)
    assert kept.before.answered == (bins < 500)
    if kept.mark:
        assert kept == begun
        assert set(kept.mark.counts) == {1, 2}


@pytest.mark.parametrize("steps", ["100", "0,100", "5,50", "50,5,100", "5,5,100", "5,x,100", "", "5,100,200"])
def test_steps_must_rise_to_100(steps: str, project: config.Settings) -> None:
    with pytest.raises(UserError, match="CANARY_STEPS"):
        command.run(project.model_copy(update={"canary_steps": steps}))


def test_mistakes_of_a_user_are_sentences(
    project: config.Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"Nothing is deployed.*make deploy"):
        command.run(project)
    with pytest.raises(UserError, match="TARGET=lambda answers with one version"):
        command.run(project.model_copy(update={"target": "lambda"}))
    monkeypatch.setattr(quality, "CANARY", {"erors": 0.1}, raising=False)
    with pytest.raises(UserError, match=r"CANARY in model/quality.py: erors: .*'errors'\?.*the keys are errors, slow"):
        command.run(project)
    monkeypatch.setattr(quality, "CANARY", {"errors": 1.5})
    with pytest.raises(UserError, match=r"CANARY in model/quality.py: errors: "):
        command.run(project)


def test_after_a_deployment_there_may_be_nothing_to_try(
    project: config.Settings, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.set_version_tags(2, {"gates": "failed"})
    command.after_deploy(project)
    assert "No canary: version 2, the challenger, has not passed its gates" in capsys.readouterr().out
    registry.set_alias("challenger", 1)
    command.after_deploy(project)
    assert "No canary: there is no challenger beside the champion" in capsys.readouterr().out


def test_training_with_canary_leaves_the_version_as_challenger(
    project: config.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = connect(project.mlflow_tracking_uri, project.model_name)
    number = train.run(project.model_copy(update={"canary": True, "bootstrap_seconds": 0.1}))
    assert (registry.get("challenger").number, champion(registry)) == (number, 1)
    assert f"Version {number} passed its gates and waits for its canary" in capsys.readouterr().out
