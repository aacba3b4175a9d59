"""One broker for the tests of the stream, and streams that run in the test's own event loop."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from titanic_survival import config
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.release.store import Store
from titanic_survival.toolkit.streaming import stream as stream_module
from titanic_survival.toolkit.streaming.connection import Connection, Topics
from titanic_survival.toolkit.streaming.stream import Stream, StreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from kafka_broker import Broker, Sent, started

NAMES = itertools.count()


@pytest.fixture(autouse=True)
def short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the broker, which waits half a session for more consumers, assign partitions after a second."""
    monkeypatch.setattr(stream_module, "SESSION_SECONDS", 2)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Return a broker that all tests share; each has topics of its own."""
    with started() as broker:
        yield broker


@pytest.fixture(scope="session")
def live(trained: config.Settings) -> LiveRelease:
    """Return the trained release, loaded."""
    live = LiveRelease(trained.store)
    live.load()
    return live


class Case(NamedTuple):
    """Topics and a group of a test's own."""

    broker: Broker
    topics: Topics
    group: str

    @property
    def settings(self) -> StreamSettings:
        """The settings of a stream over the topics."""
        return StreamSettings(Connection(self.broker.address), self.topics, self.group)

    async def results(self) -> int:
        """Return how many predictions and dead letters there are."""
        return await self.broker.count(*self.topics[1:])

    async def until(self, number: int, seconds: float = 40) -> None:
        """Wait until there are so many predictions and dead letters."""
        async with asyncio.timeout(seconds):
            while await self.results() < number:
                await asyncio.sleep(0.1)


@pytest.fixture
def case(broker: Broker) -> Case:
    """Return topics of four partitions."""
    name = f"t{next(NAMES)}"
    topics = Topics(f"{name}-rows", f"{name}-predictions", f"{name}-dead-letters")
    broker.create(*topics)
    return Case(broker, topics, name)


Running = Callable[..., AbstractAsyncContextManager[Stream]]


@pytest.fixture
def running(live: LiveRelease) -> Running:
    """Return a context in which a stream runs in this event loop."""

    @asynccontextmanager
    async def running(settings: StreamSettings, live: LiveRelease = live) -> AsyncIterator[Stream]:
        stream = Stream(live, settings)
        task = asyncio.create_task(stream.run())
        try:
            yield stream
        finally:
            stream.stop()
            await asyncio.wait_for(task, 30)

    return running


@pytest.fixture(scope="session")
def values(rows: list[dict[str, Any]]) -> list[bytes]:
    """Return rows as the values of messages."""
    return [json.dumps(row).encode() for row in rows]


@pytest.fixture(scope="session")
def messages(values: list[bytes]) -> Callable[[int], list[Sent]]:
    """Return a function that makes messages of 40 keys in four partitions, numbered in a header."""

    def messages(number: int, start: int = 0) -> list[Sent]:
        return [
            Sent(b"key %d" % (i % 40), values[i % len(values)], [("number", b"%d" % i)], i % 4)
            for i in range(start, start + number)
        ]

    return messages


@pytest.fixture
def served(trained: config.Settings, tmp_path: Path) -> Path:
    """Return a copy of the trained store, which a test may change."""
    shutil.copytree(trained.store, tmp_path / "store")
    assert Store(tmp_path / "store").release()
    return tmp_path / "store"
