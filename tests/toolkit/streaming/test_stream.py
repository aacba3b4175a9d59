"""The stream over a broker: nothing is lost, whatever happens; order and numbers are kept."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Case, Running
from kafka_broker import Sent, run
from titanic_survival import config
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import prediction_ids
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.streaming import stream as stream_module
from titanic_survival.toolkit.streaming.connection import Connection, Topics
from titanic_survival.toolkit.streaming.stream import Stream, StreamSettings
from titanic_survival.toolkit.streaming.writer import Writer
from titanic_survival.toolkit.version.artifact import is_close

Messages = Callable[..., list[Sent]]


def numbers(messages: list[Sent]) -> list[int]:
    return [int(message.header("number")) for message in messages]


def assert_nothing_is_lost(case: Case, sent: list[Sent]) -> list[Sent]:
    """Check that each message has a prediction, in the order of its key; return the predictions."""
    found = case.broker.consume(case.topics.predictions)
    assert set(numbers(found)) == set(numbers(sent))
    first: defaultdict[bytes | None, list[int]] = defaultdict(list)
    for message in found:
        number = int(message.header("number"))
        if number not in first[message.key]:  # a repeat comes later
            first[message.key].append(number)
    assert all(order == sorted(order) for order in first.values())
    return found


def test_every_message_gets_its_prediction_in_order(
    case: Case, running: Running, messages: Messages, expected: list[dict[str, Any]]
) -> None:
    sent = messages(5000)
    case.broker.produce(case.topics.rows, sent)

    async def score() -> None:
        async with running(case.settings) as stream:
            await case.until(5000)
            assert stream.problem() == ""

    run(score())
    found = assert_nothing_is_lost(case, sent)
    assert len(found) == 5000
    assert case.broker.committed(case.topics.rows, case.group) == 5000
    ids, model = set(), config.Settings().model_name
    for message in found:
        content = json.loads(message.value or b"")
        number = int(message.header("number"))
        assert message.key == b"key %d" % (number % 40)
        assert message.partition == number % 4
        prediction = expected[number % len(expected)]
        assert all(is_close(value, content[name]) for name, value in prediction.items())
        assert content["version"] == 1
        assert content["time"].endswith("Z")
        assert prediction_ids.decode(content["id"], model)
        ids.add(content["id"])
    assert len(ids) == 5000


def test_restart_goes_on_where_the_last_one_stopped(case: Case, running: Running, messages: Messages) -> None:
    sent = messages(3000)

    async def score() -> None:
        for part in (sent[:1500], sent[1500:]):
            await case.broker.produce_now(case.topics.rows, part)
            async with running(case.settings):
                await case.until(numbers(part)[-1] + 1)

    run(score())
    assert len(assert_nothing_is_lost(case, sent)) == 3000  # and nothing is repeated


def test_batch_that_is_not_acknowledged_is_not_committed_by_the_next(
    case: Case, live: LiveRelease, running: Running, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next messages are fetched while the brokers owe an acknowledgement; then the process dies."""
    monkeypatch.setattr(stream_module, "MAX_MESSAGES", 100)
    sent = messages(1000)
    case.broker.produce(case.topics.rows, sent)
    write, calls = Writer.write, []

    async def hang(self: Writer, outgoing: Any) -> Any:
        calls.append(len(outgoing))
        if len(calls) > 3:
            await asyncio.Event().wait()
        return await write(self, outgoing)

    async def die() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "write", hang)
            task = asyncio.create_task(Stream(live, case.settings).run())
            async with asyncio.timeout(20):
                while len(calls) < 4:
                    await asyncio.sleep(0.05)
            task.cancel()  # neither drained nor committed, as after a kill
            await asyncio.wait({task})

    run(die())
    assert case.broker.committed(case.topics.rows, case.group) == sum(calls[:3]) < 1000

    async def score() -> None:
        async with running(case.settings):
            await case.until(1000)

    run(score())
    assert len(assert_nothing_is_lost(case, sent)) == 1000


def test_brokers_go_away_and_come_back(
    case: Case, running: Running, messages: Messages, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = messages(4000)

    async def score() -> None:
        async with running(case.settings) as stream:
            await case.broker.produce_now(case.topics.rows, sent[:2000])
            await case.until(1)
            await asyncio.to_thread(case.broker.proxy.down)
            async with asyncio.timeout(20):
                while not stream.problem():
                    await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            await asyncio.to_thread(case.broker.proxy.up)
            await case.broker.produce_now(case.topics.rows, sent[2000:])
            await case.until(4000)
            async with asyncio.timeout(20):
                while stream.problem():
                    await asyncio.sleep(0.1)

    run(score())
    assert_nothing_is_lost(case, sent)
    printed = capsys.readouterr()
    assert printed.out.count("cannot be reached") == 1
    assert printed.out.count("answers again") == 1
    assert "Traceback" not in printed.out + printed.err


def test_consumers_come_and_go_under_load(case: Case, running: Running, messages: Messages) -> None:
    sent = messages(12_000)
    produced = 0

    async def produce() -> None:
        nonlocal produced
        for start in range(0, len(sent), 400):
            await case.broker.produce_now(case.topics.rows, sent[start : start + 400])
            produced = start + 400
            await asyncio.sleep(0.4)

    async def score() -> None:
        async with running(case.settings) as first:
            producing = asyncio.create_task(produce())
            async with running(case.settings) as second:
                async with asyncio.timeout(30):
                    while not (len(first.counters.lag) == len(second.counters.lag) == 2):
                        await asyncio.sleep(0.1)
                assert first.counters.lag.keys().isdisjoint(second.counters.lag)
                before = second.counters.messages
                await asyncio.sleep(1)
                assert second.counters.messages > before
            assert produced < len(sent)  # the second has left under load
            await producing
            async with asyncio.timeout(30):
                while len(first.counters.lag) < 4 or sum(first.counters.lag.values()):
                    await asyncio.sleep(0.1)

    run(score())
    found = assert_nothing_is_lost(case, sent)
    # Partitions were committed before they were given away, so hardly anything is repeated.
    assert len(found) < len(sent) + 1000


def test_new_version_is_picked_up_without_a_stop(
    case: Case, running: Running, messages: Messages, served: Path, trained: config.Settings
) -> None:
    live, store = LiveRelease(served), Store(served)
    live.load()

    async def score() -> None:
        async with running(case.settings, live):
            await case.broker.produce_now(case.topics.rows, messages(100))
            await case.until(100)
            (served / "versions" / "2").mkdir()
            for file in store.path(1).iterdir():
                (served / "versions" / "2" / file.name).write_bytes(file.read_bytes())
            store.write(Release.now(trained.model_name, 2, {2: ("champion",)}))
            assert live.follow()
            await case.broker.produce_now(case.topics.rows, messages(100, 100))
            await case.until(200)

    run(score())
    versions = {
        int(message.header("number")): json.loads(message.value or b"")["version"]
        for message in case.broker.consume(case.topics.predictions)
    }
    assert [versions[number] for number in range(200)] == [1] * 100 + [2] * 100


def test_missing_topics_are_named_with_their_settings(case: Case, live: LiveRelease) -> None:
    settings = case.settings._replace(topics=Topics("nothing-here", case.topics.predictions, "nor-here"))
    with pytest.raises(UserError, match=r"(?s)nothing-here \(KAFKA_INPUT\), nor-here \(KAFKA_DEAD_LETTERS\).*--create"):
        run(Stream(live, settings).run())


def test_unreachable_brokers_are_tried_again_until_the_stream_is_stopped(
    live: LiveRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    async def score() -> None:
        stream = Stream(live, StreamSettings(Connection("127.0.0.1:1"), Topics("a", "b", "c"), "group"))
        task = asyncio.create_task(stream.run())
        async with asyncio.timeout(10):
            while not stream.problem().startswith("Kafka at 127.0.0.1:1 (KAFKA_BROKERS)"):
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)
        stream.stop()
        await asyncio.wait_for(task, 5)

    run(score())
    printed = capsys.readouterr().out
    assert printed.count("cannot be reached") == 1


def test_partitions_that_are_revoked_wait_for_the_batch_in_progress(live: LiveRelease, case: Case) -> None:
    async def revoke() -> None:
        stream = Stream(live, case.settings)
        async with stream._in_progress:
            revoked = asyncio.create_task(stream.revoke())
            await asyncio.sleep(0.05)
            assert not revoked.done()
        await asyncio.wait_for(revoked, 1)

    run(revoke())
