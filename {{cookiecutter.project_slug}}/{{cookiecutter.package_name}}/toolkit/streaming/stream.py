"""The stream: fetches micro-batches of messages, and commits their offsets once their predictions are acknowledged.

At least once: what was not committed when a process dies is scored again by the next. So no offset is committed but
those of a micro-batch whose predictions the brokers hold, and the next micro-batch is scored only after that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from ..common import console
from ..common.errors import UserError
from ..live.live_release import LiveRelease
from ..monitoring.stream_counters import StreamCounters
from . import micro_batch
from .connection import Connection, Topics
from .problems import FATAL, Problems
from .progress import Progress
from .writer import Writer

#: Messages that are scored together at most; a larger micro-batch costs as much a message, and delays the first ones.
MAX_MESSAGES = 2000
#: How long a fetch waits for messages. It bounds the delay of a partition while another has none, since a broker
#: answers one fetch after the other.
FETCH_MS = 20
#: How long the loop waits for a fetch, before it looks whether all is well.
POLL_MS = 500
#: Seconds that the last micro-batch may take to be acknowledged and committed when the process is told to end.
DRAIN_SECONDS = 20.0
#: Seconds between two attempts to reach the brokers: the first pause, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Seconds that a consumer may be silent until its partitions are given to others.
SESSION_SECONDS = 10

Fetched = dict[TopicPartition, list[Any]]


class StreamSettings(NamedTuple):
    """What a stream reads and writes, and how."""

    connection: Connection
    topics: Topics
    group: str
    #: Where a group begins that has committed no offsets: "earliest" or "latest".
    start: str = "earliest"
    max_bytes: int = 16_000_000


class Stream:
    """Scores the messages of a topic until it is stopped, through every failure that passes."""

    def __init__(self, live: LiveRelease, settings: StreamSettings) -> None:
        self._live, self._settings = live, settings
        self.counters = StreamCounters()
        self._problems = Problems(settings.connection, settings.topics, settings.group, tell=self.counters.set_problem)
        self._progress = Progress(self.counters)
        self._stopping = asyncio.Event()
        #: Held while a micro-batch is in progress: partitions are given away after it is committed.
        self._in_progress = asyncio.Lock()
        self._ready = False
        #: The next offset of each partition.
        self._next: dict[TopicPartition, int] = {}

    def stop(self) -> None:
        """End after the micro-batch in progress."""
        self._stopping.set()

    def problem(self) -> str:
        """Return why the stream is not ready, "" if it is."""
        return self._problems.current or ("" if self._ready else "the group has not assigned partitions yet")

    async def run(self) -> None:
        """Score until stopped; `UserError` for what a retry does not fix."""
        pause = FIRST_PAUSE
        with self._problems:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    await self._session()
                except (errors.KafkaError, OSError) as error:
                    if isinstance(error, FATAL) or self._problems.fatal:
                        raise self._problems.fatal or UserError(self._problems.explain(error)) from error
                    self._problems.report(self._problems.explain(error))
                    pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), pause)
        self._progress.end()

    async def _session(self) -> None:
        """Score until stopped or until an error that closes the connections; what is not committed is scored again."""
        options = self._settings.connection.options()
        consumer = AIOKafkaConsumer(
            group_id=self._settings.group,
            auto_offset_reset=self._settings.start,
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_MS,
            session_timeout_ms=SESSION_SECONDS * 1000,
            heartbeat_interval_ms=SESSION_SECONDS * 300,
            # Keeps partitions where they are as far as it can; aiokafka has no cooperative rebalancing.
            partition_assignment_strategy=(StickyPartitionAssignor,),
            **options,
        )
        writer = Writer(self._settings.topics, options)
        try:
            if await self._unless_stopped(self._start(consumer, writer)):
                await self._unless_stopped(self._work(consumer, writer))
        finally:
            self._ready = False
            for close in (consumer.stop, writer.close):
                # The brokers may be away; they then notice by the session's timeout.
                with suppress(errors.KafkaError, OSError, TimeoutError):
                    await asyncio.wait_for(close(), 5)

    async def _start(self, consumer: AIOKafkaConsumer, writer: Writer) -> None:
        try:
            await consumer.start()
        except KeyError as error:  # what aiokafka makes of a broker's answer to a SCRAM login that it rejects
            raise errors.SaslAuthenticationFailed from error
        self._problems.check_topics(set(await consumer.topics()))
        await writer.start()
        consumer.subscribe([self._settings.topics.rows], listener=_Listener(self))

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Return whether work was done before the stream was stopped; a micro-batch in progress is finished."""
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._in_progress.locked() and not task.done():
                await asyncio.wait({task}, timeout=DRAIN_SECONDS)
                if not task.done():
                    text = f"Kafka did not acknowledge the last messages in {DRAIN_SECONDS:g} s"
                    console.say(f"{text}; they are scored again at the next start.", "yellow")
            if not task.done():
                return False
            task.result()
            return True
        finally:
            for one in (task, stopping):
                one.cancel()
            await asyncio.wait({task, stopping}, timeout=1)

    async def _work(self, consumer: AIOKafkaConsumer, writer: Writer) -> None:
        while not self._stopping.is_set():
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=MAX_MESSAGES)
            if self._problems.fatal:
                raise self._problems.fatal
            if not fetched:
                await self._idle(consumer)
                continue
            async with self._in_progress:
                # Also if the partitions were given away a moment ago: to leave messages out could lose them.
                await self._score(consumer, writer, fetched)
            self._progress.show()

    async def _idle(self, consumer: AIOKafkaConsumer) -> None:
        if self._problems.current:
            with suppress(errors.KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(consumer.topics(), 5)
                self._problems.clear()
        self._set_lag(consumer)
        self._progress.show()

    async def _score(self, consumer: AIOKafkaConsumer, writer: Writer, fetched: Fetched) -> None:
        """Score a micro-batch: produce, wait for acknowledgements, commit, count."""
        messages = [message for part in fetched.values() for message in part]
        result = await micro_batch.score(self._live.snapshot, messages, self._settings.max_bytes)
        written = await writer.write(result.outgoing)
        offsets = {partition: part[-1].offset + 1 for partition, part in fetched.items()}
        with suppress(errors.CommitFailedError, errors.IllegalStateError):
            # Otherwise the partitions have another owner, who has these messages too.
            await consumer.commit(offsets)
        self._problems.clear()
        oldest = min(message.timestamp for message in messages)
        self.counters.add((message.reason for message in written), time.time() - oldest / 1000)
        for counters, columns, predictions in result.scored:
            counters.add(columns, predictions)
        self._next |= offsets
        self._set_lag(consumer)

    def _set_lag(self, consumer: AIOKafkaConsumer) -> None:
        lag = {}
        for partition in consumer.assignment():
            if (end := consumer.highwater(partition)) is not None:
                # Where nothing was fetched yet, nothing waits.
                lag[partition.topic, partition.partition] = end - self._next.get(partition, end)
        self.counters.set_lag(lag)

    async def revoke(self) -> None:
        """Give partitions away: after the micro-batch in progress is committed."""
        async with self._in_progress:
            pass

    def assign(self) -> None:
        """Take partitions."""
        self._next.clear()
        self._ready = True


class _Listener(ConsumerRebalanceListener):
    """Tells the stream that its partitions change."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        await self._stream.revoke()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        self._stream.assign()
