"""`make stream` over a broker: killed in the middle, it loses nothing; a signal ends it after it has committed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Project, call, free_port, running, wait_for

pytestmark = pytest.mark.slow

BROKER = str(Path(__file__).parents[1] / "toolkit" / "streaming")
HEADERS = ("t-rows", "t-predictions", "t-dead-letters")
#: Runs in the project's environment: a broker with topics, rows and poison; then prints what came out.
SCRIPT = """
import json, sys
sys.path.insert(0, {folder!r})
from kafka_broker import Sent, started
rows = json.loads({rows!r})
with started() as broker:
    broker.create(*{topics!r})
    values = [json.dumps(row).encode() for row in rows]
    sent = [Sent(b"%d" % (i % 7), values[i % len(values)], [("number", b"%d" % i)], i % 4) for i in range({number})]
    sent[5] = sent[5]._replace(value=b"poison")
    broker.produce({topics!r}[0], sent)
    print(broker.address, flush=True)
    for line in sys.stdin:
        found = [[int(message.header("number")) for message in broker.consume(topic)] for topic in {topics!r}[1:]]
        print(json.dumps([*found, broker.committed({topics!r}[0], "titanic-survival")]), flush=True)
"""
NUMBER = 60_000


def test_kill_loses_nothing_and_a_signal_commits(trained: Project) -> None:
    trained.calls("stream")
    content = SCRIPT.format(folder=BROKER, rows=json.dumps(trained.rows(20)), topics=HEADERS, number=NUMBER)
    command = [str(trained.path / ".venv/bin/python"), "-c", content]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    broker = subprocess.Popen(
        command,
        cwd=trained.path,
        env=trained.env | {"TEMPLATE_PYTHON": sys.executable, "PYTHONPATH": str(trained.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert broker.stdin and broker.stdout
    try:
        names = dict(zip(("KAFKA_INPUT", "KAFKA_OUTPUT", "KAFKA_DEAD_LETTERS"), HEADERS, strict=True))
        settings = names | {"KAFKA_BROKERS": broker.stdout.readline().strip(), "STREAM_PORT": str(port)}

        def found() -> tuple[list[int], list[int], int]:
            assert broker.stdin and broker.stdout
            broker.stdin.write("\n")
            broker.stdin.flush()
            return json.loads(broker.stdout.readline())

        def messages() -> float:
            _, text = call(f"{url}/metrics")
            lines = [line for line in str(text).splitlines() if line.startswith("model_stream_messages_total")]
            return float(lines[0].split()[1])

        env = trained.env | settings
        env.pop("PROMETHEUS_MULTIPROC_DIR", None)
        with running(["make", "stream"], f"{url}/livez", trained.path, env) as process:
            wait_for(lambda: messages() > 0, 60)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        *_, committed = found()
        assert 0 < committed < NUMBER
        with running(["make", "stream"], f"{url}/livez", trained.path, env) as process:
            wait_for(lambda: call(f"{url}/readyz")[0] == 200, 60)
            wait_for(lambda: found()[2] == NUMBER, 60)
            [pid] = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
            os.kill(pid, signal.SIGTERM)
            assert process.wait(30) == 0
        predicted, dead, _ = found()
        assert sorted(set(predicted)) == [number for number in range(NUMBER) if number != 5]
        assert set(dead) == {5}
        assert len(predicted) < NUMBER + 10_000  # repeated is only what was in progress
    finally:
        broker.stdin.close()
        broker.wait(30)
