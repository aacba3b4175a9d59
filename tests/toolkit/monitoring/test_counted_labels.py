"""The labels that were counted: known to all workers and after a restart, and the oldest forgotten first."""

import logging
from pathlib import Path

import numpy as np
import pytest
from titanic_survival.toolkit.monitoring import counted_labels
from titanic_survival.toolkit.monitoring.counted_labels import CountedLabels

MOST = 2**64 - 1


def test_what_a_worker_has_counted_another_one_knows(tmp_path: Path) -> None:
    first, second = (CountedLabels(tmp_path / "log" / "counted") for _ in range(2))
    assert first.find(MOST) is None
    first.add(MOST, 5)
    first.add(7, 0)
    assert (second.find(MOST), second.find(7), second.find(8)) == (5, 0, None)
    second.add(MOST, 6)
    assert first.find(MOST) == 6


def test_file_has_a_fixed_size_and_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_labels, "BUCKETS", 2**8)
    labels = CountedLabels(tmp_path / "counted")
    numbers = [int(number) for number in np.random.default_rng(0).integers(1, MOST, 10_000, np.uint64)]
    for number in numbers:
        labels.add(number, number // 2)
    assert (tmp_path / "counted").stat().st_size <= 2**8 * counted_labels.BUCKET.size
    assert {labels.find(number) for number in numbers[:1000]} == {None}
    assert [labels.find(number) for number in numbers[-250:]] == [number // 2 for number in numbers[-250:]]


def test_without_a_file_every_label_is_new_and_one_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    labels = CountedLabels(tmp_path / "file" / "counted")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            labels.add(5, 5)
            assert labels.find(5) is None
    assert len(caplog.records) == 1
    assert "counted twice" in caplog.text
