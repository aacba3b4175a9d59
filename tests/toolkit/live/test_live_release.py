"""Following the store: a new release takes over as a whole, or not at all."""

import asyncio
import json
import shutil
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.common.errors import RejectedError
from titanic_survival.toolkit.live import live_release
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.release import warm_file
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.release.warm_file import WarmFile, WarmVersion
from titanic_survival.toolkit.serving.info_routes import content
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.version.artifact import digest

LIMITS = Limits(max_rows=10, max_bytes=1000)
CALLERS = [f"caller {number}".encode() for number in range(1000)]


class Row(BaseModel):
    """One number."""

    amount: float


class Prediction(BaseModel):
    """The number again."""

    answer: float


class Same:
    """Answers what it is asked."""

    def predict(self, frame: Any) -> np.ndarray:
        """Return the amounts."""
        return np.asarray(frame["amount"])


@pytest.fixture
def store(save: Callable[..., Any], tmp_path: Path) -> Store:
    """Return a store with three versions, of which the first is served."""
    version = save(Row, Prediction, Same(), [{"amount": 1.0}])
    store = Store(tmp_path / "store")
    for number in (1, 2, 3):
        shutil.copytree(version.folder, store.path(number))
    write(store, 1)
    return store


def write(store: Store, champion: int, **more: Any) -> None:
    digests = {number: digest(store.path(number)) for number in (1, 2, 3)}
    aliases = {champion: ("champion",)}
    versions = {number: aliases.get(number, ()) for number in {champion, *more.pop("beside", ())}}
    store.write(Release.now("same", champion, versions, digests=digests | more.pop("digests", {}), **more))


@pytest.fixture
def live(store: Store) -> LiveRelease:
    """Return the store's release, live."""
    live = LiveRelease(store.root)
    live.load()
    return live


def ask(live: LiveRelease, key: bytes = b"") -> int:
    """Return the version that answers a caller."""
    status, answers = asyncio.run(Scorer(live, LIMITS).answer(b'[{"amount": 2}]', key=key))
    assert status == 200
    return int(json.loads(answers)[0]["version"])


def test_release_that_stays_is_not_live_again(live: LiveRelease) -> None:
    assert not live.follow()


def test_new_release_takes_over(live: LiveRelease, store: Store) -> None:
    write(store, 2)
    assert live.follow()
    assert ask(live) == 2
    assert live.problem == ""


def test_version_that_stays_is_kept_in_memory(live: LiveRelease, store: Store) -> None:
    first = live.snapshot.versions[1]
    write(store, 2, beside=[1])
    live.follow()
    assert live.snapshot.versions[1] is first


@pytest.mark.parametrize("harm", ["changed", "gone", "unreadable", "release"])
def test_release_that_cannot_be_served_leaves_the_one_before(live: LiveRelease, store: Store, harm: str) -> None:
    if harm == "changed":
        write(store, 2, digests={2: "0" * 64})
    elif harm == "release":
        (store.root / "release.json").write_text("{")
    else:
        write(store, 2, digests={2: ""})
        shutil.rmtree(store.path(2))
        if harm == "unreadable":
            store.path(2).mkdir()
            (store.path(2) / "contract.json").write_text("{")
    assert live.follow()
    assert ask(live) == 1
    assert live.problem
    write(store, 3)
    live.follow()
    assert (ask(live), live.problem) == (3, "")


def test_failure_that_passes_is_tried_again_and_logged_once(
    live: LiveRelease, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(live_release, "RETRY_SECONDS", 0.0)
        patch.setattr(Store, "load", lambda *_: 1 / 0)
        write(store, 2)
        for _ in range(3):
            live.follow()
        assert (ask(live), live.problem) == (1, "division by zero")
    assert caplog.text.count("is not served") == 1
    live.follow()
    assert (ask(live), live.problem) == (2, "")


def test_failed_release_is_not_tried_again_for_a_while(
    live: LiveRelease, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    monkeypatch.setattr(Store, "load", lambda *_: loads.append(1) or 1 / 0)
    write(store, 2)
    for _ in range(3):
        live.follow()
    assert len(loads) == 1


def test_problem_reported_by_sync_is_repeated_until_it_is_over(
    live: LiveRelease, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the gauge itself: a service that another test has started follows its own store, and sets it to 0.
    problems: list[bool] = []
    monkeypatch.setattr(live_release, "RELEASE_PROBLEM", SimpleNamespace(set=problems.append))
    store.set_problem("no space left")
    for _ in range(2):
        assert not live.follow()
    assert (ask(live), live.problem, live.sync_problem) == (1, "", "no space left")
    assert caplog.text.count("no space left") == 1
    assert True in problems
    problems.clear()
    store.set_problem("")
    live.follow()
    assert live.sync_problem == ""
    assert problems
    assert True not in problems


def test_traffic_weights_are_sticky_by_key_and_near_their_percentages(live: LiveRelease, store: Store) -> None:
    write(store, 1, beside=[2], weights={1: 80, 2: 20})
    live.follow()
    first = [live.snapshot.choose(key).number for key in CALLERS]
    assert first == [live.snapshot.choose(key).number for key in CALLERS]
    assert 0.15 < first.count(2) / len(first) < 0.25
    assert {live.snapshot.choose(b"").number for _ in range(200)} == {1, 2}
    assert {live.snapshot.find("1", key=key).number for key in CALLERS} == {1}


def test_shadows_score_the_same_rows_and_are_only_counted(live: LiveRelease, store: Store) -> None:
    write(store, 1, beside=[3], shadows=(3,))
    live.follow()
    scorer = Scorer(live, LIMITS)
    counter = metrics.SHADOW_REQUESTS.labels(3, 200)
    before = counter._value.get()

    async def ask_and_wait() -> int:
        _, content = await scorer.answer(b'[{"amount": 2}]')
        await asyncio.gather(*scorer._tasks)
        return int(json.loads(content)[0]["version"])

    assert asyncio.run(ask_and_wait()) == 1
    scorer.recorder.drain()
    assert counter._value.get() - before == 1


def test_shadows_are_those_of_the_release_that_answered(
    live: LiveRelease, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1, beside=[3], shadows=(3,))
    live.follow()
    scorer, version = Scorer(live, LIMITS), live.snapshot.versions[1]
    score = version.score

    async def score_and_replace(rows: int, columns: Any) -> Any:
        write(store, 2)
        live.follow()
        return await score(rows, columns)

    monkeypatch.setattr(version, "score", score_and_replace)
    counter = metrics.SHADOW_REQUESTS.labels(3, 200)
    before = counter._value.get()

    async def ask_and_wait() -> None:
        await scorer.answer(b'[{"amount": 2}]')
        await asyncio.gather(*scorer._tasks)

    asyncio.run(ask_and_wait())
    scorer.recorder.drain()
    assert (live.snapshot.release.champion, counter._value.get() - before) == (2, 1)


def keep_warm(store: Store, number: int, seconds: float = 60, digest_: str = "") -> None:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    WarmFile(store.root).write(WarmVersion(number=number, digest=digest_ or digest(store.path(number)), until=until))


def warm(live: LiveRelease) -> int | None:
    return live.warm.number if live.warm else None


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the versions that were loaded from the store since."""
    loads, load = list[int](), Store.load
    monkeypatch.setattr(Store, "load", lambda self, number, *more: loads.append(number) or load(self, number, *more))
    return loads


@pytest.mark.parametrize("pause", [False, True])
def test_rollback_and_its_undoing_load_nothing(live: LiveRelease, store: Store, loads: list[int], pause: bool) -> None:
    first = live.snapshot.versions[1]
    for champion, before in ((2, 1), (1, 2), (2, 1)):
        write(store, champion)
        if pause:  # between the two files that a sync writes
            live.follow()
        keep_warm(store, before)
        live.follow()
        live.follow()
        assert (ask(live), warm(live)) == (champion, before)
    assert live.warm is first
    assert (content(live, "")["champion"], content(live, "")["warm"]) == (2, [1])
    assert loads == [2]
    with pytest.raises(RejectedError, match="version '1' is not served"):
        live.snapshot.find("1")


def test_warm_version_leaves_memory_when_its_time_is_over(
    live: LiveRelease, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[float] = []
    monkeypatch.setattr(live_release, "LOADED_VERSIONS", SimpleNamespace(set=loaded.append))
    write(store, 2)
    keep_warm(store, 1, seconds=60)
    live.follow()
    kept = weakref.ref(live.warm)
    live.follow()
    assert kept() is not None
    later = datetime.now(UTC) + timedelta(seconds=60)
    monkeypatch.setattr(warm_file, "datetime", SimpleNamespace(now=lambda zone: later))
    live.follow()
    assert (warm(live), kept()) == (None, None)
    assert loaded == [1, 2, 2, 1]


def test_next_promotion_makes_room_before_it_is_loaded(live: LiveRelease, store: Store, loads: list[int]) -> None:
    write(store, 2)
    keep_warm(store, 1)
    live.follow()
    kept, there = weakref.ref(live.warm), []
    live.follow()
    load = live._load_version
    live._load_version = lambda *more: there.append(kept() is not None) or load(*more)
    write(store, 3)
    keep_warm(store, 2)
    live.follow()
    assert (ask(live), warm(live), there) == (3, 2, [False])
    assert loads == [2, 3]


@pytest.mark.parametrize("harm", ["gone", "changed", "damaged"])
def test_warm_version_that_cannot_be_loaded_harms_nobody(
    live: LiveRelease, store: Store, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    keep_warm(store, 2, digest_="0" * 64 if harm == "changed" else "")
    if harm == "gone":
        shutil.rmtree(store.path(2))
    if harm == "damaged":
        (store.root / "warm.json").write_text('{"number": 2')
    for _ in range(3):
        live.follow()
    assert (ask(live), live.problem, warm(live)) == (1, "", None)
    assert caplog.text.count("does not stay warm") == (harm != "damaged")


def test_service_that_starts_has_the_warm_version_a_moment_later(store: Store) -> None:
    keep_warm(store, 3)
    live = LiveRelease(store.root)
    live.load()
    assert warm(live) is None
    live.follow()
    assert (ask(live), warm(live)) == (1, 3)
