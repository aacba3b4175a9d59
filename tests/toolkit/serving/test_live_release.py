"""Following the store: a new release takes over as a whole, or not at all."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from titanic_survival.toolkit.monitoring import metrics
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving import live_release, scoring
from titanic_survival.toolkit.version.artifact import digest

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
def loaded(store: Store) -> scoring.Scoring:
    """Return the scoring of the store's release."""
    loaded = scoring.Scoring(store.root, max_rows=10, max_bytes=1000)
    loaded.load()
    return loaded


def ask(loaded: scoring.Scoring, key: bytes = b"") -> int:
    """Return the version that answers a caller."""
    status, content = asyncio.run(loaded.answer(b'[{"amount": 2}]', key=key))
    assert status == 200
    return int(json.loads(content)[0]["version"])


def test_release_that_stays_is_not_loaded_again(loaded: scoring.Scoring) -> None:
    assert not loaded.follow()


def test_new_release_takes_over(loaded: scoring.Scoring, store: Store) -> None:
    write(store, 2)
    assert loaded.follow()
    assert ask(loaded) == 2
    assert loaded.problem == ""


def test_version_that_stays_is_kept_in_memory(loaded: scoring.Scoring, store: Store) -> None:
    first = loaded.versions[1]
    write(store, 2, beside=[1])
    loaded.follow()
    assert loaded.versions[1] is first


@pytest.mark.parametrize("harm", ["changed", "gone", "unreadable", "release"])
def test_release_that_cannot_be_served_leaves_the_one_before(loaded: scoring.Scoring, store: Store, harm: str) -> None:
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
    assert loaded.follow()
    assert ask(loaded) == 1
    assert loaded.problem
    write(store, 3)
    loaded.follow()
    assert (ask(loaded), loaded.problem) == (3, "")


def test_failure_that_passes_is_tried_again_and_said_once(
    loaded: scoring.Scoring, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(live_release, "RETRY_SECONDS", 0.0)
        patch.setattr(Store, "load", lambda *_: 1 / 0)
        write(store, 2)
        for _ in range(3):
            loaded.follow()
        assert (ask(loaded), loaded.problem) == (1, "division by zero")
    assert caplog.text.count("is not served") == 1
    loaded.follow()
    assert (ask(loaded), loaded.problem) == (2, "")


def test_failure_is_left_alone_for_a_while(
    loaded: scoring.Scoring, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    monkeypatch.setattr(Store, "load", lambda *_: loads.append(1) or 1 / 0)
    write(store, 2)
    for _ in range(3):
        loaded.follow()
    assert len(loads) == 1


def test_what_keeps_the_store_behind_is_repeated_until_it_is_over(
    loaded: scoring.Scoring, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.note("no space left")
    for _ in range(2):
        assert not loaded.follow()
    assert (ask(loaded), loaded.problem, loaded.behind) == (1, "", "no space left")
    assert caplog.text.count("no space left") == 1
    assert metrics.PROBLEM._value.get() == 1
    store.note("")
    loaded.follow()
    assert loaded.behind == ""
    assert metrics.PROBLEM._value.get() == 0


def test_shares_are_sticky_by_key_and_near_their_percentages(loaded: scoring.Scoring, store: Store) -> None:
    write(store, 1, beside=[2], shares={1: 80, 2: 20})
    loaded.follow()
    first = [loaded.find(key=key).number for key in CALLERS]
    assert first == [loaded.find(key=key).number for key in CALLERS]
    assert 0.15 < first.count(2) / len(first) < 0.25
    assert {loaded.find().number for _ in range(200)} == {1, 2}
    assert {loaded.find("1", key=key).number for key in CALLERS} == {1}


def test_shadows_score_the_same_rows_and_are_only_counted(loaded: scoring.Scoring, store: Store) -> None:
    write(store, 1, beside=[3], shadows=(3,))
    loaded.follow()
    counter = metrics.SHADOWS.labels(3, 200)
    before = counter._value.get()

    async def ask_and_wait() -> int:
        _, content = await loaded.answer(b'[{"amount": 2}]')
        await asyncio.gather(*loaded._tasks)
        return int(json.loads(content)[0]["version"])

    assert asyncio.run(ask_and_wait()) == 1
    loaded.observer.drain()
    assert counter._value.get() - before == 1
