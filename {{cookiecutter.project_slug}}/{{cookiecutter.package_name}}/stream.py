"""Stream: score the rows of a Kafka topic, by the current release, into a topic of predictions."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import uvloop

from . import config
from .shared.trust import model_store
from .toolkit.common import console
from .toolkit.common.sockets import listen, url
from .toolkit.live.live_release import LiveRelease
from .toolkit.release.pulling import pull_or_keep
from .toolkit.streaming import health
from .toolkit.streaming.connection import Connection, Topics
from .toolkit.streaming.stream import Stream, StreamSettings


def run(settings: config.Settings, *, pull: bool = True) -> None:
    """Score until a signal arrives; then the micro-batch in progress is finished and committed."""
    store = model_store(settings)
    # An image serves the release that it holds, or that a sync beside it pulls.
    if pull and "IMAGE_ENVIRONMENT" not in os.environ:
        pull_or_keep(settings.mlflow_tracking_uri, settings.model_name, store)
    live = LiveRelease(settings.store)
    live.load()
    live.watch()
    uvloop.run(_run(settings, live))


async def _run(settings: config.Settings, live: LiveRelease) -> None:
    loop = asyncio.get_running_loop()
    stream = Stream(live, stream_settings(settings))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stream.stop)
    bound = listen(settings.bind_address, settings.stream_port, setting="STREAM_PORT")
    release, topics = live.snapshot.release, stream_settings(settings).topics
    console.say(
        f"Scoring {topics.rows} with {release.model}, {release.summary()}, into {topics.predictions}; "
        f"what cannot be scored goes to {topics.dead_letters} (Ctrl-C ends it)"
    )
    console.say(f"Metrics: {url(settings.bind_address, settings.stream_port)}/metrics")
    async with health.answer(bound, stream.problem):
        await stream.run()


def stream_settings(settings: config.Settings) -> StreamSettings:
    """Return the settings of the stream among those of the project."""
    files = settings.kafka_ca, settings.kafka_certificate, settings.kafka_key
    return StreamSettings(
        Connection(
            settings.kafka_brokers,
            settings.kafka_security,
            settings.kafka_mechanism,
            settings.kafka_username,
            settings.kafka_password.get_secret_value(),
            *(Path(name) if name else None for name in files),
        ),
        Topics(settings.kafka_input, settings.kafka_output, settings.kafka_dead_letters),
        settings.kafka_group,
        settings.kafka_start,
        settings.max_bytes,
    )
