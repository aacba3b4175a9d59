"""The writer: what is too large for a topic, and brokers that give no producer id."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, errors
from conftest import Case
from kafka_broker import run
from titanic_survival.toolkit.streaming.micro_batch import Outgoing
from titanic_survival.toolkit.streaming.writer import Writer

LIMIT = 5000


def test_what_is_too_large_becomes_a_dead_letter_and_at_last_loses_its_value(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = AIOKafkaProducer.send_batch

    async def limited(self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int) -> Any:
        if batch.size() > LIMIT and batch.record_count() == 1:
            raise errors.MessageSizeTooLargeError
        return await send(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", limited)
    headers = [("trace", b"1"), ("model-source", b"rows/0/1")]
    outgoing = [
        Outgoing(0, b"a", b"small", headers),
        Outgoing(0, b"b", b"x" * 2 * LIMIT, headers),
        Outgoing(0, b"c", b"y" * 2 * LIMIT, [*headers, ("model-error", b"why")], "contract"),
        Outgoing(0, b"d", b"small too", headers),
    ]

    async def write() -> list[Outgoing]:
        writer = Writer(case.topics, case.settings.connection.options())
        await writer.start()
        try:
            return [done for one in outgoing for done in await writer.write([one])]
        finally:
            await writer.close()

    written = run(write())
    assert [message.reason for message in written] == ["", "size", "contract", ""]
    assert [message.key for message in case.broker.consume(case.topics.predictions)] == [b"a", b"d"]
    large, letter = case.broker.consume(case.topics.dead_letters)
    assert (large.key, large.value) == (b"b", None)
    assert b"too large for its topic" in large.header("model-error")
    assert (letter.value, letter.header("model-source")) == (None, b"rows/0/1")
    assert b"its value is left out" in letter.header("model-error")


def test_large_batch_is_split_until_its_messages_fit(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    send = AIOKafkaProducer.send_batch

    async def limited(self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int) -> Any:
        if batch.size() > LIMIT:
            raise errors.MessageSizeTooLargeError
        return await send(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", limited)
    outgoing = [Outgoing(n % 4, b"%d" % n, b"x" * 1000, []) for n in range(40)]

    async def write() -> None:
        writer = Writer(case.topics, case.settings.connection.options())
        await writer.start()
        await writer.write(outgoing)
        await writer.close()

    run(write())
    found = case.broker.consume(case.topics.predictions)
    assert sorted(int(message.key or b"") for message in found) == list(range(40))
    for partition in range(4):
        keys = [int(message.key or b"") for message in found if message.partition == partition]
        assert keys == sorted(keys)


def test_producer_is_idempotent_unless_the_brokers_give_it_no_id(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    start = AIOKafkaProducer.__init__

    def observe(self: AIOKafkaProducer, **options: Any) -> None:
        asked.append(options["enable_idempotence"])
        start(self, **options)

    monkeypatch.setattr(AIOKafkaProducer, "__init__", observe)

    async def connect() -> None:
        writer = Writer(case.topics, case.settings.connection.options())
        await writer.start()
        await writer.close()

    run(connect())
    assert asked == [True, False]  # the broker of the tests has no ids
    assert "IdempotentWrite" in capsys.readouterr().out
