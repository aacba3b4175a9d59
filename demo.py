"""Show everything once: generate a project, train, deploy, predict over HTTP, and undeploy.

All files are in `build/demo`; only caches are written to the home folder.
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
        environment = environment_of(PROJECT) | {"PORT": str(port)}
        for target in ("setup", "train"):
            make(target, environment)
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


def make(target: str, environment: dict[str, str], before: str = "") -> None:
    """Run a target of the project's Makefile, with its output; `CalledProcessError` if it fails."""
    with step(f"{before}make {target}"):
        subprocess.run(["make", "--no-print-directory", target], cwd=PROJECT, env=environment, check=True)


def bake() -> None:
    """Generate the project with the default answers; ignore this machine's cookiecutter settings."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    config = FOLDER / "cookiecutter.yaml"
    config.write_text(json.dumps({"replay_dir": str(FOLDER / "replay")}))
    command = [sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input", "--output-dir", str(FOLDER)]
    subprocess.run([*command, "--config-file", str(config)], check=True, stdout=subprocess.DEVNULL)
    print(f"Generated {PROJECT.relative_to(ROOT)}; titanic_survival/model/ has the four files of the model")


def environment_of(project: Path) -> dict[str, str]:
    """Return this environment without variables that would change the demo: the project's, MLflow's and make's."""
    [config] = project.glob("*/config.py")
    settings = {name.upper() for name in re.findall(r"^    (\w+): .*Field\(", config.read_text(), re.MULTILINE)}
    foreign = settings | {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {name: text for name, text in os.environ.items() if name not in foreign and not name.startswith("MLFLOW_")}


def show_predictions(url: str) -> None:
    """Print the predictions for three passengers beside their actual fate."""
    with (PROJECT / "data" / "titanic.csv").open(newline="", encoding="utf-8") as file:
        passengers = [row for row in csv.DictReader(file) if row["name"].startswith(PASSENGERS)]
    rows = [{name: value(text) for name, text in row.items() if name not in ("name", "survived")} for row in passengers]
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/predict", json.dumps(rows).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        predictions = json.load(answer)
    print(f"{DIM}{'passenger':<44}{'probability':>11}   {'predicted':<12}actual{PLAIN}")
    names = ("died", "survived")
    for row, prediction in zip(passengers, predictions, strict=True):
        predicted, actual = names[prediction["survived"]], names[int(row["survived"])]
        print(f"{row['name']:<44}{prediction['probability']:>11.0%}   {predicted:<12}{actual}")


def value(text: str) -> float | str | None:
    """Return a field of the CSV file as a number, text, or None."""
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
    """Print a summary and the next commands."""
    steps = [
        (
            f"cd {PROJECT.relative_to(ROOT)}",
            "look around: titanic_survival/model has the four files that describe the model",
        ),
        ("make deploy", "serve it again on port 3000; open the URL in a browser"),
        ("make mlflow", "look at the run, its plots and the registered version"),
        ("edit titanic_survival/model/pipeline.py", "then make train, make deploy: version 2, if it passes its gates"),
    ]
    print(f"\n{BOLD}From no project to predictions at {url} in {seconds:.0f} s.{PLAIN} Stopped again. Next:")
    for command, why in steps:
        print(f"  {BOLD}{command:<40}{PLAIN}  {DIM}{why}{PLAIN}")


if __name__ == "__main__":
    sys.exit(main())
