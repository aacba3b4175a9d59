"""Run in the project's environment: a broker, its load, and the two consumers; prints what was measured as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka_broker import Broker, Sent, run, started
from titanic_survival import config
from titanic_survival.toolkit.common.sockets import free_port
from titanic_survival.toolkit.release.store import Store

PARTITIONS, PLAIN_MESSAGES, SECONDS = 4, 1000, 10
STREAM = [sys.executable, "-m", config.PACKAGE, "stream", "--no-pull"]
CORES = sorted(os.sched_getaffinity(0))


def main() -> None:
    """Measure throughput, then latency at some loads."""
    os.sched_setaffinity(0, CORES[1:] or CORES)  # the broker too, which inherits it
    messages = int(sys.argv[1])
    store = Store(config.settings().store)
    rows = store.load(store.required_release().champion).example.rows
    values = [json.dumps(row).encode() for row in rows]
    with started() as broker:
        found: dict[str, Any] = {"stream": _throughput(broker, values, messages, "stream", STREAM)}
        plain = [sys.executable, __file__, "plain"]
        found["plain"] = _throughput(broker, values, PLAIN_MESSAGES, "plain", plain)
        loads = (5_000, 10_000, found["stream"][0] / 2)
        found["latency"] = [run(_latency(broker, values, rate, f"load{i}")) for i, rate in enumerate(loads)]
    print(json.dumps(found))


@contextmanager
def _running(broker: Broker, name: str, command: list[str]) -> Iterator[psutil.Process]:
    """Run a consumer on one core."""
    env = os.environ | {"KAFKA_BROKERS": broker.address, "KAFKA_GROUP": name, "STREAM_PORT": str(free_port())}
    env |= {"KAFKA_INPUT": name, "KAFKA_OUTPUT": f"{name}-out", "KAFKA_DEAD_LETTERS": f"{name}-dead"}
    process = subprocess.Popen(command, env=env, stdout=sys.stderr)
    os.sched_setaffinity(process.pid, CORES[:1])
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _throughput(broker: Broker, values: list[bytes], number: int, name: str, command: list[str]) -> tuple[float, float]:
    """Return messages a second, from the first prediction to the last, of time and of the consumer's processor time."""
    broker.create(name, f"{name}-out", f"{name}-dead", partitions=PARTITIONS)
    broker.produce(name, [Sent(b"%d" % i, values[i % len(values)], (), i % PARTITIONS) for i in range(number)])

    async def measure(process: psutil.Process) -> tuple[float, float]:
        begin = busy = 0.0
        before = 0
        async with asyncio.timeout(300):
            while (count := await broker.count(f"{name}-out")) < number:
                if count and not begin:
                    begin, before, busy = time.perf_counter(), count, _processor_time(process)
                await asyncio.sleep(0.05)
        done = number - before
        return done / (time.perf_counter() - begin), done / (_processor_time(process) - busy)

    with _running(broker, name, command) as process:
        return asyncio.run(measure(process))


def _processor_time(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _latency(broker: Broker, values: list[bytes], rate: float, name: str) -> dict[str, float]:
    """Return the time from before a row is sent until its prediction is consumed, in milliseconds."""
    await asyncio.to_thread(broker.create, name, f"{name}-out", f"{name}-dead", partitions=PARTITIONS)
    with _running(broker, name, STREAM):
        async with _clients(broker, f"{name}-out") as (producer, consumer):
            await asyncio.sleep(12)  # until the group has assigned partitions
            sending = asyncio.create_task(_send(producer, name, values, rate))
            delays: list[float] = []
            while not sending.done():
                for part in (await consumer.getmany(timeout_ms=200)).values():
                    now = time.time()
                    delays += [now - float(dict(message.headers)["sent"]) for message in part]
            await sending
    delays = sorted(delays[len(delays) // 5 :])  # without the first, which warm up
    share = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(delays) - 1
    return {"rate": rate} | {key: 1e3 * delays[int(part * last)] for key, part in share.items()}


@asynccontextmanager
async def _clients(broker: Broker, topic: str) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    options: dict[str, Any] = {"bootstrap_servers": broker.address}
    consumer = AIOKafkaConsumer(topic, fetch_max_wait_ms=20, auto_offset_reset="earliest", **options)
    async with AIOKafkaProducer(max_batch_size=400_000, **options) as producer, consumer:
        yield producer, consumer


async def _send(producer: AIOKafkaProducer, topic: str, values: list[bytes], rate: float) -> None:
    """Send rows at a rate, every 5 ms those that are due."""
    begin, sent, waiting = time.perf_counter(), 0, set()
    while (passed := time.perf_counter() - begin) < SECONDS:
        due = int(passed * rate) - sent
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            now = [("sent", repr(time.time()).encode())]
            for i in range(due // PARTITIONS):
                batch.append(key=b"%d" % i, value=values[i % len(values)], timestamp=None, headers=now)
            if due // PARTITIONS:
                future = await producer.send_batch(batch, topic, partition=partition)
                waiting.add(future)
                future.add_done_callback(waiting.discard)
        sent += due // PARTITIONS * PARTITIONS
        await asyncio.sleep(0.005)
    await asyncio.gather(*waiting)


async def plain() -> None:
    """Do what is done without this project: poll, predict one message after the other, send."""
    import mlflow
    import pandas as pd

    settings = config.settings()
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    model = mlflow.pyfunc.load_model(f"models:/{settings.model_name}@champion")
    options: dict[str, Any] = {"bootstrap_servers": settings.kafka_brokers}
    consumer = AIOKafkaConsumer(
        settings.kafka_input, group_id=settings.kafka_group, auto_offset_reset="earliest", **options
    )
    async with AIOKafkaProducer(**options) as producer, consumer:
        async for message in consumer:
            prediction = model.predict(pd.DataFrame([json.loads(message.value)]))
            value = json.dumps(prediction.to_dict("records")[0], default=str).encode()
            await producer.send_and_wait(settings.kafka_output, value, message.key)


if __name__ == "__main__":
    asyncio.run(plain()) if sys.argv[1] == "plain" else main()
