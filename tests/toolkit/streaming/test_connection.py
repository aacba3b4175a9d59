"""TLS and credentials, over a broker that requires both."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.helpers import create_ssl_context
from kafka_broker import Broker, run, started
from titanic_survival.toolkit.common.errors import UserError
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.streaming.connection import Connection, Topics
from titanic_survival.toolkit.streaming.stream import Stream, StreamSettings

TOPICS = Topics("rows", "predictions", "dead-letters")


class Secured(NamedTuple):
    """A broker with TLS, and the certificate that it shows."""

    broker: Broker
    authorities: Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Return a broker with TLS."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    options: dict[str, Any] = {"security_protocol": "SSL", "ssl_context": create_ssl_context(cafile=certificate)}
    with started(tls=server, **options) as broker:
        yield Secured(broker, certificate)


def test_stream_connects_by_tls(secured: Secured, live: LiveRelease) -> None:
    secured.broker.create(*TOPICS)
    connection = Connection(secured.broker.address, "SSL", authorities=secured.authorities)

    async def connect() -> None:
        stream = Stream(live, StreamSettings(connection, TOPICS, "group"))
        task = asyncio.create_task(stream.run())
        async with asyncio.timeout(20):
            while stream.problem():
                await asyncio.sleep(0.1)
        stream.stop()
        await task

    run(connect())


def test_certificate_of_an_unknown_authority_is_named(
    secured: Secured, live: LiveRelease, capsys: pytest.CaptureFixture[str]
) -> None:
    async def connect() -> None:
        stream = Stream(live, StreamSettings(Connection(secured.broker.address, "SSL"), TOPICS, "group"))
        task = asyncio.create_task(stream.run())
        async with asyncio.timeout(10):
            while "CERTIFICATE_VERIFY_FAILED" not in stream.problem():
                await asyncio.sleep(0.05)
        stream.stop()
        await asyncio.wait_for(task, 5)

    run(connect())
    assert "KAFKA_BROKERS" in capsys.readouterr().out


def test_wrong_credentials_end_the_stream_with_the_settings_to_check(live: LiveRelease) -> None:
    """The broker requires a login and has no users."""
    with started("--authentication") as broker:
        connection = Connection(broker.address, "SASL_PLAINTEXT", "SCRAM-SHA-256", "ada", "wrong")
        with pytest.raises(UserError, match=r"credentials of 'ada'.*KAFKA_USERNAME, KAFKA_PASSWORD") as error:
            run(Stream(live, StreamSettings(connection, TOPICS, "group")).run())
    assert "wrong" not in str(error.value)


@pytest.mark.parametrize(
    ("connection", "text"),
    [
        (Connection("b:1", "SASL_SSL"), "KAFKA_SECURITY=SASL_SSL needs KAFKA_USERNAME and KAFKA_PASSWORD"),
        (Connection("b:1", username="ada", password="x"), "KAFKA_SECURITY=PLAINTEXT does not log in"),
        (Connection("b:1", "SSL", authorities=Path("/nowhere")), "KAFKA_CA=/nowhere: there is no such file"),
        (Connection("b:1", "SSL", certificate=Path(__file__)), "cannot be used for TLS"),
    ],
)
def test_settings_that_do_not_fit_are_named(connection: Connection, text: str) -> None:
    with pytest.raises(UserError, match=re.escape(text)):
        connection.options()
