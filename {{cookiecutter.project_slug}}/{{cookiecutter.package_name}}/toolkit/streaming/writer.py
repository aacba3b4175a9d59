"""The writer: produces predictions and dead letters, and returns when the brokers have acknowledged all of them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, errors

from ..common import console
from .connection import Topics
from .micro_batch import ERROR, Outgoing

#: Bytes of messages that are produced together: half of what brokers take at most by default.
BATCH_BYTES = 500_000
#: Answers to the request for a producer id of brokers that have none to give, or not to this client.
NO_PRODUCER_ID = (errors.ClusterAuthorizationFailedError, errors.UnknownError, errors.UnsupportedVersionError)

log = logging.getLogger(__name__)


class Writer:
    """A producer that is idempotent where the brokers allow it, so that its retries repeat and reorder nothing."""

    def __init__(self, topics: Topics, options: dict[str, Any]) -> None:
        self._topics, self._options = topics, options
        self._producer: AIOKafkaProducer | None = None
        self._idempotent = True

    async def start(self) -> None:
        """Connect to the brokers."""
        try:
            await self._connect()
        except NO_PRODUCER_ID as error:
            if not self._idempotent:
                raise
            self._idempotent = False
            console.say(
                f"The brokers give this producer no id ({type(error).__name__}), so a retry of its own may repeat "
                "predictions; consumers drop repeats by id. Permit IdempotentWrite on the cluster to avoid it."
            )
            await self._connect()

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            acks="all", enable_idempotence=self._idempotent, max_batch_size=BATCH_BYTES, **self._options
        )
        self._producer = producer
        try:
            await producer.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections."""
        producer, self._producer = self._producer, None
        if producer:
            await producer.stop()

    async def write(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """Produce messages, and return them as they were acknowledged, in the order of each partition.

        A prediction that is too large for its topic becomes a dead letter, and a dead letter that is too large loses
        its value: the header names the message.
        """
        try:
            await self._send(outgoing)
            return list(outgoing)
        except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as error:
            # After an error, an idempotent producer's numbers have a gap, so it starts again with another id.
            await self.close()
            await self._connect()
            if len(outgoing) > 1:
                half = len(outgoing) // 2
                return [*await self.write(outgoing[:half]), *await self.write(outgoing[half:])]
            if outgoing[0].reason and outgoing[0].value is None:
                raise
            return await self.write([_smaller(outgoing[0], error)])

    async def _send(self, outgoing: Sequence[Outgoing]) -> None:
        producer = self._producer
        assert producer is not None
        partitions: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        counts = {topic: len(await producer.partitions_for(topic)) for topic in self._topics[1:]}
        for message in outgoing:
            topic = self._topics.dead_letters if message.reason else self._topics.predictions
            # As in the topic of rows, so that messages of one key stay in order.
            partitions[topic, message.partition % counts[topic]].append(message)
        sent = [
            asyncio.ensure_future(self._send_to(producer, topic, partition, messages))
            for (topic, partition), messages in partitions.items()
        ]
        try:
            await asyncio.gather(*sent)
        finally:
            for task in sent:
                task.cancel()

    async def _send_to(
        self, producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Outgoing]
    ) -> None:
        """Produce messages to a partition, and wait until they are acknowledged."""
        acknowledged = []
        batch = producer.create_batch()
        for message in messages:
            _, key, value, headers, _ = message
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        batch.close()
        acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acknowledged)


def _smaller(message: Outgoing, error: Exception) -> Outgoing:
    """Return what is produced instead of a message that is too large."""
    if not message.reason:
        text = f"the prediction is too large for its topic: {error}"
        return message._replace(reason="size", value=None, headers=[*message.headers, (ERROR, text.encode())])
    text = f"the message is too large for this topic, so its value is left out: {error}"
    # What came with it may be what is too large.
    headers = [header for header in message.headers if header[0].startswith("model-")][:2]
    return message._replace(key=None, value=None, headers=[*headers, (ERROR, text.encode())])
