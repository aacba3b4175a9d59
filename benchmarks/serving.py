"""Compare this service with what one would otherwise use: requests a second, latency, ratios.

Every server runs alone, with one worker, on the same machine, model and rows; wrk sends the load. After a warm-up, the
median of several rounds counts. The table is printed and written to benchmarks/serving.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from . import startup, workers
from .peers import HERE, PEERS, Peer, Places, Rows
from .project import ROOT, environment, free_port, generate, serving

FOLDER = ROOT / "build" / "bench"
CONNECTIONS = (1, 16, 64)


class Load(NamedTuple):
    """What wrk measured: requests a second, the 99th percentile in milliseconds, answers that were not 2xx."""

    rate: float
    p99: float
    bad: int


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round")
    parser.add_argument("--only", default="", help="measure only servers whose name contains this")
    parser.add_argument("--workers", type=int, default=0, help="measure only what this many workers bring, against one")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk, the load generator, is missing: apt-get install wrk, or brew install wrk", file=sys.stderr)
        return 1
    places, facts = prepare()
    if options.workers:
        print(compare_workers(places, facts["rows"], options.seconds, options.workers))
        return 0
    results: dict[str, dict[str, Load]] = {}
    for peer in PEERS:
        if options.only in peer.name:
            print(f"{peer.name} ...", file=sys.stderr, flush=True)
            results[peer.name] = measure(peer, places, facts["rows"], options.rounds, options.seconds)
            rates = ", ".join(f"{load.rate:,.0f} at {name}" for name, load in results[peer.name].items())
            print(f"    requests a second: {rates}", file=sys.stderr, flush=True)
    report = table(results, facts, startup.measure(places.project))
    if (os.cpu_count() or 1) > 1:
        report += f"\n{compare_workers(places, facts['rows'], options.seconds)}\n"
    print(report)
    if not options.only:
        (HERE / "serving.md").write_text(report)
    return 0


def prepare() -> tuple[Places, dict[str, Any]]:
    """Generate, set up and train a project; save the model for the peers; make MLServer's environment."""
    places = Places(generate(FOLDER), FOLDER / "mlserver", FOLDER / "model")
    uv = shutil.which("uv") or str(ROOT / ".venv/bin/uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(places.mlserver)], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(places.mlserver / "bin/python")]
    subprocess.run([*install, "mlserver>=1.7", "mlserver-mlflow>=1.7", *same_libraries(places)], check=True)
    command = [places.python, "-W", "ignore", str(HERE / "prepare.py"), str(places.model)]
    env = environment(places.project) | {"PYTHONPATH": str(places.project)}
    done = subprocess.run(command, cwd=places.project, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return places, json.loads(done.stdout.splitlines()[-1])


def same_libraries(places: Places) -> list[str]:
    """Return the pins under which every server runs the same model code."""
    code = (
        "from importlib.metadata import version as v\n"
        "for n in ('mlflow', 'scikit-learn', 'pandas', 'numpy'): print(n + '==' + v(n))"
    )
    done = subprocess.run([places.python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def measure(peer: Peer, places: Places, rows: Rows, rounds: int, seconds: int) -> dict[str, Load]:
    """Return the median load by number of connections, and for requests of 1000 rows."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(places.project, port) | {"PEER_MODEL": str(places.model)}
    # mlflow starts its server by name.
    env["PATH"] = f"{places.project}/.venv/bin:{env['PATH']}"
    with serving(peer.command(places, port), url + peer.ready, places.project, env):
        one, many = (script(peer.body(part), count) for part, count in ((rows[:1], 1), (rows, len(rows))))
        found = {}
        cases = [(str(connections), one, connections) for connections in CONNECTIONS]
        if not peer.is_floor:
            cases.append(("rows", many, 1))
        for name, body, connections in cases:
            wrk(url + peer.path, body, connections, 2)
            loads = [wrk(url + peer.path, body, connections, seconds) for _ in range(rounds)]
            found[name] = sorted(loads)[len(loads) // 2]
        return found


def compare_workers(places: Places, rows: Rows, seconds: int, most: int = 2) -> str:
    """Return what one worker costs, and some; each has a core of its own."""
    body = script(PEERS[0].body(rows[:1]), 1)

    def rate(url: str) -> float:
        return wrk(url + PEERS[0].path, body, 64, seconds).rate

    return workers.report([workers.measure(places.project, count, rate, seconds) for count in sorted({1, most})])


def script(body: Any, rows: int) -> Path:
    """Write the request as wrk takes it."""
    path = FOLDER / f"post-{rows}.lua"
    text = json.dumps(body)
    path.write_text(
        f'wrk.method = "POST"\nwrk.body = {json.dumps(text)}\nwrk.headers["Content-Type"] = "application/json"\n'
    )
    return path


def wrk(url: str, body: Path, connections: int, seconds: int) -> Load:
    """Send requests for some seconds."""
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
    command += ["--timeout", "30s", "--script", str(body), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, p99 = re.search(r"Requests/sec: +([\d.]+)", text), re.search(r"99% +([\d.]+)(us|ms|s)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    assert rate and p99, text
    return Load(float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]], int(bad[1]) if bad else 0)


def table(results: dict[str, dict[str, Load]], facts: dict[str, Any], start: startup.Startup) -> str:
    """Return the report in Markdown; ratios are this service's requests over the peer's."""
    ours = results.get(PEERS[0].name)
    lines = [
        "# Serving",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} cores, one worker each, one-row requests; this service "
        f"has everything on ({facts['runtime']} runtime). `make bench` measures anew; ratios compare within one run.",
        "",
        "| server | req/s at 1 | at 16 | at 64 | p99 at 64, ms | this service / it, at 64 | 1000 rows, ms | errors |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, loads in results.items():
        rates = [f"{loads[str(connections)].rate:,.0f}" for connections in CONNECTIONS]
        # A peer may answer nothing within a round.
        ratio = f"{ours['64'].rate / loads['64'].rate:.2f}" if ours and loads["64"].rate else ""
        bulk = f"{1000 / loads['rows'].rate:.1f}" if "rows" in loads and loads["rows"].rate else ""
        errors = str(sum(load.bad for load in loads.values()))
        cells = [name, *rates, f"{loads['64'].p99:,.1f}", ratio, bulk, errors]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"The bare model takes {facts['bare_seconds'] * 1000:.1f} ms for the 1000 rows, in process."]
    lines += [
        f"This service is ready {start.ready:.1f} s after its process starts; a version is loaded and verified in "
        f"{start.load * 1000:.0f} ms, and each further one takes {start.megabytes:.1f} MB."
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
