"""Show everything once: generate a project, train, package, deploy, call it over HTTP, and take it down.

All of it happens in `build/demo`; nothing is left in the home folder but caches.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FOLDER = ROOT / "build" / "demo"
PROJECT = FOLDER / "titanic-survival"
PASSENGERS = ("Brown, Mrs. James Joseph", "Astor, Col. John Jacob", "Goodwin, Master. Sidney Leonard")
BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> int:
    """Run the demo and return the exit code."""
    start, port = time.perf_counter(), free_port()
    url = f"http://127.0.0.1:{port}"
    try:
        with step("cookiecutter . --no-input --output-dir build/demo"):
            bake()
        environment = environment_of(PROJECT) | {"PORT": str(port), "BENTOML_HOME": str(FOLDER / "bentoml")}
        for word in ("setup", "train", "build"):
            make(word, environment)
        try:
            make("deploy", environment, f"PORT={port} ")
            with step(f"POST {url}/predict, with three passengers of data/titanic.csv"):
                show_predictions(url)
        finally:
            make("undeploy", environment)
    except subprocess.CalledProcessError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    print_end(url, time.perf_counter() - start)
    return 0


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show a step's title before it and its time after it."""
    start = time.perf_counter()
    print(f"\n{BOLD}$ {title}{PLAIN}", flush=True)
    yield
    print(f"{DIM}# {time.perf_counter() - start:.1f} s{PLAIN}", flush=True)


def make(word: str, environment: dict[str, str], before: str = "") -> None:
    """Run a word of the project's Makefile, visibly; `CalledProcessError` if it fails."""
    with step(f"{before}make {word}"):
        subprocess.run(["make", "--no-print-directory", word], cwd=PROJECT, env=environment, check=True)


def bake() -> None:
    """Generate the project from the defaults, whatever the settings of cookiecutter on this machine."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "cookiecutter.yaml"
    config.write_text(json.dumps({"replay_dir": str(FOLDER / "replay")}))
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--output-dir", str(FOLDER)]
    subprocess.run([*command, "--config-file", str(config)], check=True, stdout=subprocess.DEVNULL)
    print(f"A project of {sum(path.is_file() for path in PROJECT.rglob('*'))} files: {PROJECT.relative_to(ROOT)}")


def environment_of(project: Path) -> dict[str, str]:
    """Return this environment without what would lead the project elsewhere: its own settings, MLflow's and make's."""
    [config] = project.glob("*/config.py")
    settings = {name.upper() for name in re.findall(r"^    (\w+): .*Field\(", config.read_text(), re.MULTILINE)}
    foreign = settings | {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {name: text for name, text in os.environ.items() if name not in foreign and not name.startswith("MLFLOW_")}


def show_predictions(url: str) -> None:
    """Ask the service about three passengers, and print its answers beside what became of them."""
    with (PROJECT / "data" / "titanic.csv").open(newline="", encoding="utf-8") as file:
        passengers = [row for row in csv.DictReader(file) if row["name"].startswith(PASSENGERS)]
    rows = [{name: value(text) for name, text in row.items() if name not in ("name", "survived")} for row in passengers]
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/predict", json.dumps(rows).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        predictions = json.load(answer)
    print(f"{DIM}{'passenger':<44}{'survival':>8}   {'prediction':<12}in 1912{PLAIN}")
    words = ("died", "survived")
    for row, prediction in zip(passengers, predictions, strict=True):
        predicted, truth = words[prediction["survived"]], words[int(row["survived"])]
        print(f"{row['name']:<44}{prediction['probability']:>8.0%}   {predicted:<12}{truth}")


def value(text: str) -> float | str | None:
    """Return a field of the table as JSON has it: a number, a word, or nothing."""
    try:
        return float(text)
    except ValueError:
        return text or None


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_end(url: str, seconds: float) -> None:
    """Say what happened and what to try next."""
    steps = [
        (f"cd {PROJECT.relative_to(ROOT)}", "look around: model/ has the four files that say what the model is"),
        ("make deploy", "serve it again, on port 3000; the URL opens in a browser"),
        ("make mlflow", "see the run, its plots and the registered version"),
        ("edit titanic_survival/model/pipeline.py", "then make train, make deploy: version 2, if its gates pass"),
    ]
    print(f"\n{BOLD}From no project to answers at {url} in {seconds:.0f} s.{PLAIN} It is down again. Next:")
    for command, why in steps:
        print(f"  {BOLD}{command:<40}{PLAIN}  {DIM}{why}{PLAIN}")


if __name__ == "__main__":
    sys.exit(main())
