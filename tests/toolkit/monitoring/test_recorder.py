"""What is recorded of requests: counts, and the prediction log."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.contract.json_rows import RowParser
from titanic_survival.toolkit.live.live_release import LiveRelease
from titanic_survival.toolkit.monitoring import metrics, prediction_ids, recorder
from titanic_survival.toolkit.monitoring.prediction_log import LogFile, PredictionLog
from titanic_survival.toolkit.monitoring.recorder import Recorder
from titanic_survival.toolkit.release.store import Release, Store
from titanic_survival.toolkit.serving.limits import Limits
from titanic_survival.toolkit.serving.scoring import Scorer
from titanic_survival.toolkit.version.artifact import Artifact

Make = Callable[..., Scorer]


@pytest.fixture
def make(served: Path, tmp_path: Path) -> Make:
    """Return a function that serves version 2 of the store, with version 1 in the shadow if wanted."""

    def make(*, log_share: float = 1, shadows: tuple[int, ...] = ()) -> Scorer:
        store = Store(tmp_path / "store")
        shutil.copytree(served, store.root)
        release = Store(served).release()
        assert release is not None
        store.write(Release.now(release.model, 2, release.versions, shadows=shadows))
        predictions = PredictionLog(LogFile(tmp_path / "log", "predictions", 10**9))
        live = LiveRelease(store.root)
        live.load()
        return Scorer(live, Limits(1000, 10**6), Recorder(predictions, log_share))

    return make


def ask(scorer: Scorer, *bodies: Any, key: bytes = b"") -> list[Any]:
    """Send bodies at the same time, wait for shadows and the recorder, and return the answers."""

    async def together() -> list[Any]:
        found = await asyncio.gather(*(scorer.answer(json.dumps(body).encode(), key=key) for body in bodies))
        await asyncio.gather(*scorer._tasks)
        return [json.loads(content) for _, content in found]

    answers = asyncio.run(together())
    scorer.recorder.close()
    return answers


def logged(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in (tmp_path / "log").glob("*.jsonl") for line in path.read_text().splitlines()]


def test_every_prediction_is_logged_with_the_model_s_input(
    make: Make, rows: list[dict[str, Any]], version: Artifact, tmp_path: Path
) -> None:
    start = time.time()
    answers = [row for answer in ask(make(), rows[:3], rows[3:4], [], key=b"somebody") for row in answer]
    (block,) = logged(tmp_path)
    assert (block["version"], block["shadow"], block["keys"]) == (2, False, ["somebody"])
    assert block["key"] == [0] * 4
    assert block["id"] == [row["id"] for row in answers]
    for column in version.contract.prediction:
        assert block["outputs"][column.name] == [row[column.name] for row in answers]
    _, columns = RowParser(version.contract).parse(json.dumps(rows[:4]).encode())
    for name, values in block["inputs"].items():
        again = np.array(values, columns[name].dtype)
        assert np.array_equal(again, columns[name], equal_nan=columns[name].dtype != object), name
    times = np.array([text.removesuffix("+00:00") for text in block["time"]], "datetime64[us]").astype(int) / 1e6
    assert all(start - 1 <= moment <= time.time() + 1 for moment in times)


def test_key_is_logged_once_whatever_the_number_of_rows(make: Make, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    scorer = make()
    for key, count in ((b"k" * 256, 900), (b"", 2), (b"other", 3), (b"k" * 256, 1)):
        asyncio.run(scorer.answer(json.dumps((rows * 900)[:count]).encode(), key=key))
    scorer.recorder.close()
    (block,) = logged(tmp_path)
    assert block["keys"] == ["k" * 256, None, "other"]
    assert [block["keys"][at] for at in block["key"]] == ["k" * 256] * 900 + [None] * 2 + ["other"] * 3 + ["k" * 256]


def test_many_rows_are_logged_in_lines_of_bounded_length(
    make: Make, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LINE_VALUES", 200)
    answers = ask(make(), rows[:60], rows[:40], key=b"somebody")
    blocks = logged(tmp_path)
    assert len(blocks) > 2
    assert [one for block in blocks for one in block["id"]] == [row["id"] for answer in answers for row in answer]
    for block in blocks:
        lists = [block["time"], block["key"], *block["inputs"].values(), *block["outputs"].values()]
        assert {len(values) for values in lists} == {len(block["id"])}
        assert sum(np.size(values) for values in lists[2:]) <= 200


def test_rejected_requests_are_not_logged(make: Make, tmp_path: Path) -> None:
    ask(make(), [{"no such field": 1}], {})
    assert logged(tmp_path) == []


def test_shadow_is_logged_under_the_ids_that_the_caller_has(
    make: Make, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    (answer,) = ask(make(shadows=(1,)), rows[:2])
    blocks = {block["version"]: block for block in logged(tmp_path)}
    assert (blocks[1]["shadow"], blocks[2]["shadow"]) == (True, False)
    assert blocks[1]["id"] == blocks[2]["id"] == [row["id"] for row in answer]


def test_shadow_counts_apart_from_requests(make: Make, rows: list[dict[str, Any]]) -> None:
    counters = [
        metrics.REQUESTS.labels(2, 200),
        metrics.REQUESTS.labels(1, 200),
        metrics.SHADOW_REQUESTS.labels(1, 200),
    ]
    before = [counter._value.get() for counter in counters]
    ask(make(shadows=(1,)), rows[:2], rows[:1])
    assert [counter._value.get() - then for counter, then in zip(counters, before, strict=True)] == [2, 0, 2]


def test_share_of_requests_is_logged_and_all_are_counted(
    make: Make, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    counter = metrics.ROWS.labels(2)
    before = counter._value.get()
    ask(make(log_share=0.5), *[rows[:1]] * 200)
    assert 50 < sum(len(block["id"]) for block in logged(tmp_path)) < 150
    assert counter._value.get() - before == 200


def test_nothing_is_logged_at_a_share_of_0(make: Make, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    ask(make(log_share=0), rows[:1])
    assert not (tmp_path / "log").exists()


def test_requests_are_recorded_within_a_second(make: Make, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    scorer = make()
    scorer.recorder.start()
    asyncio.run(scorer.answer(json.dumps(rows[:1]).encode()))
    deadline = time.monotonic() + 5
    while not logged(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert time.monotonic() < deadline - 4
    scorer.recorder.close()


def test_fault_in_counting_is_logged_and_the_next_requests_are_recorded(
    make: Make, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    scorer = make()
    with monkeypatch.context() as patch:
        patch.setattr(scorer.live.snapshot.versions[2].counters, "add", lambda *_: 1 / 0)
        asyncio.run(scorer.answer(json.dumps(rows[:1]).encode()))
        scorer.recorder.drain()
    assert "not recorded" in caplog.text
    (answer,) = ask(scorer, rows[:1])
    assert logged(tmp_path)[-1]["id"] == [answer[0]["id"]]


def test_id_of_a_prediction_holds_its_label(make: Make, rows: list[dict[str, Any]], version: Artifact) -> None:
    scorer = make()
    (answer,) = ask(scorer, rows[:5])
    release, label = scorer.live.snapshot.release, version.contract.label
    assert release is not None
    for row in answer:
        value = np.array([row[label.name]], object if label.kind == "category" else None)
        assert prediction_ids.decode(row["id"], release.model) == prediction_ids.DecodedId(
            2, (prediction_ids.codes(value, label)[0],)
        )
