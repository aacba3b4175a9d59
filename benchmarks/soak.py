"""Send the service hundreds of thousands of requests, bad ones among them: none may be lost, and memory may not grow.

Two versions share the traffic, and one of them scores in the shadow as well. The requests come in rounds, each over
connections of its own that are kept alive; each request has one status that is right for it. Memory after the first
rounds is compared with memory after the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil

from .project import ROOT, environment, free_port, generate, log_of, make, python, serving

FOLDER = ROOT / "build" / "soak"
#: In the first rounds, the pools of Python and of the C library reach their size.
ROUNDS, WARM_UP = 10, 4
#: Growth of memory after the warm-up, in percent, at which the service fails.
TOO_MUCH = 5.0
MAX_ROWS = 100
#: An answer that takes longer is lost.
ANSWER_SECONDS = 60
#: What becomes of a request beside a status: it got no answer, or its sender did not wait for one.
LOST, HUNG_UP = "no answer", "hung up"


class Kind(NamedTuple):
    """One kind of request: how often it is sent, and the answer that is right."""

    name: str
    share: float
    expected: str
    path: str
    body: bytes | None = None
    method: str = "POST"
    content_type: str = "application/json"
    #: Predictions that the answer has to hold, where that is to be counted.
    predictions: int | None = None


class Round(NamedTuple):
    """What a round of requests met: outcomes by kind, seconds that the answers took, and the seconds of all."""

    outcomes: Counter[tuple[str, str]]
    answered: list[float]
    seconds: float


def main() -> int:
    """Serve, send, print; return 1 if a request was lost or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300_000, help="requests in all")
    parser.add_argument("--connections", type=int, default=48, help="connections at a time")
    options = parser.parse_args()
    project = prepare()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python(project), "-m", "titanic_survival", "serve", "--no-pull"]
    env = environment(project, port) | {"MAX_ROWS": str(MAX_ROWS)}
    with serving(command, f"{url}/readyz", project, env) as process:
        mix = kinds(project, url)
        rounds, memory = [], []
        for number in range(ROUNDS):
            count = options.requests // ROUNDS
            rounds.append(asyncio.run(send(url, mix, count, options.connections, seed=number)))
            memory.append(resident(process.pid))
            said = f"{count / rounds[-1].seconds:,.0f} req/s, {memory[-1]:.1f} MB"
            print(f"round {number + 1} of {ROUNDS}: {said}", file=sys.stderr, flush=True)
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            metrics = answer.read().decode()
    found = faults(mix, rounds, memory) + complaints(metrics, log_of(project).read_text())
    print(report(mix, rounds, memory))
    print("\n".join(found) or "Every request got the answer that is right for it, and memory stayed.")
    return 1 if found else 0


def prepare() -> Path:
    """Return a project whose store serves two versions, which share the traffic, one of them in the shadow too."""
    project = generate(FOLDER)
    make(project, "train")
    tags = """
import mlflow
from titanic_survival import config
settings = config.settings()
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
client = mlflow.MlflowClient()
client.set_registered_model_tag(settings.model_name, "traffic", "champion=80,1=20")
client.set_registered_model_tag(settings.model_name, "shadow", "1")
"""
    subprocess.run([python(project), "-W", "ignore", "-c", tags], cwd=project, env=environment(project), check=True)
    make(project, "sync", "ARGS=--once")
    return project


def kinds(project: Path, url: str) -> list[Kind]:
    """Return what is sent, with shares in percent."""
    release = json.loads((project / "store/release.json").read_text())
    example = project / "store/versions" / str(release["champion"]) / "example.json"
    good = json.loads(example.read_text())["rows"]
    one, many = good[:1], (good * MAX_ROWS)[: MAX_ROWS // 2]
    broken = [good[0], {name: {} for name in good[0]}]
    infer = f"/v2/models/{release['model']}/infer"
    request = urllib.request.Request(f"{url}/predict", json.dumps(one).encode())
    with urllib.request.urlopen(request) as answer:
        label = {name: value for name, value in json.load(answer)[0].items() if name in ("id", "survived")}

    def kind(name: str, share: float, expected: int, path: str, content: Any = None, **more: Any) -> Kind:
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        return Kind(name, share, str(expected), path, body, **more)

    return [
        kind("one row", 45, 200, "/predict", one, predictions=1),
        kind("many rows", 8, 200, "/predict", many, predictions=len(many)),
        kind("one row, by version", 6, 200, "/versions/1/predict", one, predictions=1),
        kind("no rows", 1, 200, "/predict", []),
        kind("rows that break the contract", 6, 400, "/predict", broken),
        kind("broken JSON", 5, 400, "/predict", b'[{"sex": "fem'),
        kind("no JSON", 1, 400, "/predict", bytes(100)),
        kind("too many rows", 3, 413, "/predict", (good * MAX_ROWS)[: MAX_ROWS + 1]),
        kind("version that is not served", 3, 404, "/versions/99/predict", one),
        kind("path that does not exist", 2, 404, "/nowhere", one),
        kind("wrong method", 3, 405, "/predict", method="GET"),
        kind("explain", 0.5, 200, "/explain", one),
        kind("explain, broken row", 0.5, 400, "/explain", broken),
        kind("feedback", 2, 202, "/feedback", [label]),
        kind("feedback, unknown id", 1, 400, "/feedback", [label | {"id": "unknown"}]),
        kind("invocations", 3, 200, "/invocations", {"dataframe_records": one}),
        kind("invocations, broken row", 1, 400, "/invocations", {"dataframe_records": broken}),
        kind("invocations, wrong type", 1, 415, "/invocations", b"x", content_type="text/plain"),
        kind("infer", 3, 200, infer, {"inputs": [tensor(name, value) for name, value in good[0].items()]}),
        kind("infer, no inputs", 1, 400, infer, {"inputs": []}),
        kind("infer, another model", 1, 404, "/v2/models/nobody/infer", {"inputs": []}),
        kind("model", 0.5, 200, "/model", method="GET"),
        kind("ready", 0.5, 200, "/readyz", method="GET"),
        kind("metrics", 0.1, 200, "/metrics", method="GET"),
        Kind(HUNG_UP, 1.9, HUNG_UP, "/predict", json.dumps(many).encode()),
    ]


def tensor(name: str, value: Any) -> dict[str, Any]:
    """Return an input of the Open Inference Protocol with one row."""
    datatype = "BYTES" if isinstance(value, str) else "FP32"
    return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}


async def send(url: str, mix: list[Kind], count: int, connections: int, seed: int) -> Round:
    """Send requests of all kinds, in an order that the seed decides, and return what they met."""
    order = iter(random.Random(seed).choices(mix, [kind.share for kind in mix], k=count))
    outcomes: Counter[tuple[str, str]] = Counter()
    answered: list[float] = []

    async def keep_sending(session: aiohttp.ClientSession) -> None:
        for kind in order:
            if kind.expected == HUNG_UP:
                outcome = await hang_up(url, kind)
            else:
                start = time.perf_counter()
                outcome = await ask(session, url, kind)
                answered.append(time.perf_counter() - start)
            outcomes[kind.name, outcome] += 1

    start = time.perf_counter()
    timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        await asyncio.gather(*(keep_sending(session) for _ in range(connections)))
    return Round(outcomes, answered, time.perf_counter() - start)


async def ask(session: aiohttp.ClientSession, url: str, kind: Kind) -> str:
    """Return the status of an answer, or what is wrong with it."""
    headers = {"Content-Type": kind.content_type} if kind.body is not None else {}
    try:
        async with session.request(kind.method, url + kind.path, data=kind.body, headers=headers) as answer:
            content = await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return LOST
    if kind.predictions is not None and answer.status == 200 and content.count(b'"id":') != kind.predictions:
        return "200 with another number of predictions"
    return str(answer.status)


async def hang_up(url: str, kind: Kind) -> str:
    """Send some part of a request and break the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = kind.body or b""
    text = f"{kind.method} {kind.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return LOST
    writer.write(text[: random.randrange(len(text) + 1)])
    writer.transport.abort()
    return HUNG_UP


def resident(pid: int) -> float:
    """Return the memory of a process and its children, in megabytes."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 1e6


def growth(memory: list[float]) -> float:
    """Return by how many percent memory grew after the warm-up."""
    return 100 * (memory[-1] / memory[WARM_UP - 1] - 1)


def faults(mix: list[Kind], rounds: list[Round], memory: list[float]) -> list[str]:
    """Return what is wrong with the answers and with the memory, in sentences."""
    expected = {kind.name: kind.expected for kind in mix}
    found = [
        f"{count:,} of {name!r} met {outcome!r}, not {expected[name]!r}."
        for (name, outcome), count in total(rounds).items()
        if outcome != expected[name]
    ]
    if growth(memory) >= TOO_MUCH:
        found.append(f"Memory grew by {growth(memory):.1f} % after the warm-up; less than {TOO_MUCH:g} % is allowed.")
    return found


def complaints(metrics: str, log: str) -> list[str]:
    """Return what the service itself says that went wrong."""
    failed = re.findall(r'^model_\w*requests_total{.*code="5.* (?!0\.0$)\S+$', metrics, re.MULTILINE)
    return failed + (["The service's log holds a traceback."] if "Traceback" in log else [])


def total(rounds: list[Round]) -> Counter[tuple[str, str]]:
    """Return the outcomes of all rounds."""
    return sum((each.outcomes for each in rounds), Counter())


def report(mix: list[Kind], rounds: list[Round], memory: list[float]) -> str:
    """Return the tables in Markdown."""
    outcomes = total(rounds)
    answered = sorted(seconds for each in rounds[WARM_UP:] for seconds in each.answered)
    count, seconds = outcomes.total(), sum(each.seconds for each in rounds)
    lines = ["| request | right | got | requests |", "| --- | --- | --- | ---: |"]
    for kind in mix:
        lines += [
            f"| {name} | {kind.expected} | {outcome} | {number:,} |"
            for (name, outcome), number in sorted(outcomes.items())
            if name == kind.name
        ]
    lines += [
        "",
        f"{count:,} requests in {seconds:.0f} s: {count / seconds:,.0f} a second; "
        f"p99 after the warm-up {1000 * answered[int(0.99 * len(answered))]:.1f} ms",
        f"memory: {memory[WARM_UP - 1]:.1f} MB after {WARM_UP} of {len(memory)} rounds, {memory[-1]:.1f} MB at last: "
        f"{growth(memory):+.1f} %",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
