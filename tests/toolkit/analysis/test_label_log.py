"""Labels: joined by prediction id, each once, and a sample of them if they are many."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.analysis import label_log, log_files
from titanic_survival.toolkit.analysis.id_numbers import id_numbers
from titanic_survival.toolkit.analysis.label_log import Labels
from titanic_survival.toolkit.batch.locations import locate

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)


def ids(count: int, digits: int = 40) -> list[str]:
    source = random.Random(0)
    return [f"{source.getrandbits(4 * digits):0{digits}x}" for _ in range(count)]


def write(folder: Path, file: int, *labels: tuple[str, Any, int]) -> None:
    """Write labels: the id, the label, and the seconds since `NOW`."""
    lines = (
        json.dumps({"time": (NOW + timedelta(seconds=seconds)).isoformat(), "version": 1, "id": name, "label": label})
        for name, label, seconds in labels
    )
    (folder / f"feedback-{file}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def read(folder: Path) -> tuple[Labels, list[str]]:
    files = log_files.find(locate(str(folder)), log_files.FEEDBACK, NOW - timedelta(days=10_000))
    share = label_log.share_for(files)
    found = [label_log.read(file, share) for file in files]
    return label_log.latest([labels for labels, _ in found], share), [n for _, p in found for n in p.notes()]


def test_last_label_of_a_prediction_counts_whichever_file_it_is_in(tmp_path: Path) -> None:
    a, b = ids(2)
    write(tmp_path, 1, (a, "last", 30), (b, "only", 0))
    write(tmp_path, 2, (a, "first", 10), (a, "second", 20))
    labels, _ = read(tmp_path)
    where = labels.positions(id_numbers([a, b, ids(3)[2]])).tolist()
    assert [labels.values[i] for i in where[:2]] == [{"label": "last"}, {"label": "only"}]
    assert (where[2], len(labels.numbers), labels.replaced, labels.share) == (-1, 2, 2, 1)


def test_lines_without_id_time_or_label_are_said(tmp_path: Path) -> None:
    write(tmp_path, 1, (ids(1)[0], 1, 0))
    with (tmp_path / "feedback-1.jsonl").open("a") as file:
        file.write('{"id": 3, "time": "2026", "label": 1}\n{"id": "a", "label": 1}\n{"id": "a", "time": "2026"}\n')
    labels, notes = read(tmp_path)
    assert len(labels.numbers) == 1
    assert "3 damaged lines" in notes[0]


def test_of_many_labels_a_sample_by_id_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_log, "MOST_LABELS", 500)
    names = ids(4000)
    write(tmp_path, 1, *((name, i, 0) for i, name in enumerate(names)))
    write(tmp_path, 2, *((name, -i, 1) for i, name in enumerate(names)))  # the same predictions are in the sample
    labels, _ = read(tmp_path)
    assert 0 < len(labels.numbers) <= 500
    assert labels.share < 0.125
    assert len(labels.numbers) / labels.share == pytest.approx(4000, rel=0.3)
    assert labels.replaced == len(labels.numbers)
    kept = np.abs([value["label"] for value in labels.values])
    assert 1600 < kept.mean() < 2400  # of the whole file, not of its beginning


def test_numbers_of_ids_are_the_same_whatever_ids_are_beside_them() -> None:
    names = [*ids(50), *ids(2, 48), "short", "g" * 40, "é" * 40, "0" * 39 + " ", ""]
    together = id_numbers(names)
    assert len(set(together.tolist())) == len(names)
    assert together.tolist() == [int(id_numbers([name])[0]) for name in names]
    assert together[:50].tolist() == id_numbers(names[:50]).tolist()


def test_numbers_of_ids_that_count_upwards_are_evenly_spread() -> None:
    names = [f"{7:08x}{1:08x}{start:016x}{start * 77 % 2**32:08x}" for start in range(5000)]
    shares = np.histogram(id_numbers(names).astype(np.float64) / 2.0**64, 10, (0, 1))[0] / 5000
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_no_labels_join_nothing() -> None:
    assert label_log.latest([], 1).positions(id_numbers(ids(3))).tolist() == [-1, -1, -1]
