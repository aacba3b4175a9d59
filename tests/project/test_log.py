"""What a running service notes: the log of predictions, feedback, an endpoint of the project's own."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project, call, wait_for

pytestmark = pytest.mark.slow


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines that are whole."""
    lines = [line for path in folder.glob(f"{kind}-*.jsonl") for line in path.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def ids(folder: Path) -> set[str]:
    return {name for block in logged(folder, "predictions") for name in block["id"]}


def value(url: str, name: str) -> float:
    """Return the sum of a metric over its labels."""
    lines = [line for line in call(f"{url}/metrics")[1].splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_every_prediction_of_every_worker_is_logged_and_takes_feedback(trained: Project, tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    with trained.serving(WORKERS="2", LOG_FOLDER=str(tmp_path)) as (url, process):
        rows = trained.rows(2)
        for _ in range(30):
            answers += call(f"{url}/predict", rows)[1]
        labels = [{"id": row["id"], "survived": number % 4 > 0} for number, row in enumerate(answers)]
        wrong = sum(row["survived"] != label["survived"] for row, label in zip(answers, labels, strict=True))
        assert 0 < wrong < len(labels)
        for start in range(0, len(labels), 10):
            status, said = call(f"{url}/feedback", labels[start : start + 10])
            assert (status, said["taken"]) == (202, 10)
        wait_for(lambda: value(url, "model_feedback_rows_total") == len(labels), 5)
        assert sum(value(url, f"model_log_{name}_total") for name in ("rows", "dropped_rows")) <= len(answers)
        text = call(f"{url}/metrics")[1]
        right = [
            line
            for line in text.splitlines()
            if line.startswith("model_feedback_rows_total") and 'correct="true"' in line
        ]
        assert sum(float(line.rsplit(" ", 1)[1]) for line in right) == len(labels) - wrong
        sent_again(trained, tmp_path, url, labels)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert len(list(tmp_path.glob("predictions-*.jsonl"))) <= 2
    assert ids(tmp_path) > {row["id"] for row in answers}
    assert sorted(line["id"] for line in logged(tmp_path, "feedback")) == sorted(ids(tmp_path))


def sent_again(trained: Project, folder: Path, url: str, labels: list[dict[str, Any]]) -> None:
    """Send labels from a file, which every worker knows but for one, and write the file's labels beside the service."""
    new = labels[0] | {"id": call(f"{url}/predict", trained.rows(1))[1][0]["id"]}
    file = folder / "labels.csv"
    lines = [f"{label['id']},{label['survived']}" for label in (*labels, new)]
    file.write_text("\n".join(["id,survived", *lines, "5,true"]))
    said = trained.make("feedback", f"INPUT={file}", SERVICE_URL=url, LOG_FOLDER=str(folder))
    assert re.search(rf"New labels: +1, now in {url}\n", said)
    assert re.search(rf"Already known: +{len(labels)} labels", said)
    assert re.search(rf"Rejected: +1 row with the reasons in {folder}/labels.rejects.csv", said)
    wait_for(lambda: value(url, "model_feedback_rows_total") == len(labels) + 1, 5)
    said = trained.make("feedback", f"INPUT={file}", LOG_FOLDER=str(folder))
    assert re.search(rf"New labels: +0\nAlready known: +{len(labels) + 1} labels", said)


@pytest.mark.alone
def test_crash_loses_no_more_than_the_last_second(trained: Project, tmp_path: Path) -> None:
    answered: dict[str, float] = {}
    with trained.serving(LOG_FOLDER=str(tmp_path)) as (url, process):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            answered[call(f"{url}/predict", trained.rows(1))[1][0]["id"]] = time.monotonic()
        killed = time.monotonic()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    found = ids(tmp_path)
    assert {name for name, moment in answered.items() if moment < killed - 1} <= found <= set(answered)
    assert len(answered) > 100


def test_full_disk_drops_the_log_and_fails_no_request(trained: Project, tmp_path: Path) -> None:
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 10**6,) * 2); "
    code += f"runpy.run_module({trained.package!r}, run_name='__main__')"
    # The metrics' own files begin at a megabyte, so the limit has to be above that.
    with trained.serving("-c", code, LOG_FOLDER=str(tmp_path)) as (url, _):
        rows = trained.rows(2) * 2000
        for _ in range(10):
            assert call(f"{url}/predict", rows)[0] == 200
        wait_for(lambda: value(url, "model_log_dropped_rows_total") > 0, 10)
    assert sum(len(block["id"]) for block in logged(tmp_path, "predictions")) > 0


def test_endpoint_of_ones_own_is_one_function(trained: Project, tmp_path: Path) -> None:
    endpoints = trained.path / trained.package / "model" / "endpoints.py"
    before = endpoints.read_text()
    try:
        endpoints.write_text(re.sub("^# ?", "", before, flags=re.MULTILINE))  # the example, as shown
        with trained.serving(LOG_FOLDER=str(tmp_path / "log")) as (url, _):
            rows = trained.rows(2)
            expected = [row["survived"] for row in call(f"{url}/predict", rows)[1]]
            assert call(f"{url}/labels", {"rows": rows}) == (200, expected)
            status, said = call(f"{url}/labels", {"rows": [rows[0] | {"age": "old"}]})
            assert status == 400
            assert "age" in json.dumps(said)
            assert "/labels" in call(f"{url}/docs.json")[1]["paths"]
            assert value(url, "model_rows_total") == 4
        endpoints.write_text("async def ping(): ...\n")
        said = trained.run(str(trained.path / ".venv/bin/python"), "-m", trained.package, "serve", ok=False)
        assert "model/endpoints.py: ping: the service answers /ping itself" in said
    finally:
        endpoints.write_text(before)
    logs = [path.read_text() for path in trained.path.glob("python-*.log")]
    assert not any("Traceback" in text for text in logs)
