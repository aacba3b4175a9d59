"""Bins: where values fall, what they are called, and how far shares are apart."""

from typing import Any

import numpy as np
import pytest
from titanic_survival.toolkit.contract import times
from titanic_survival.toolkit.contract.schema import FieldSpec
from titanic_survival.toolkit.version import binning, drift, large_arrays

RANDOM = np.random.default_rng(0)


def made(kind: Any, values: Any, **more: Any) -> binning.NumberBins | binning.CategoryBins:
    dtype = object if kind == "category" else np.float32
    return binning.make(FieldSpec(name=more.pop("name", "x"), kind=kind, **more), np.array(values, dtype))


def where(found: binning.NumberBins | binning.CategoryBins, values: Any) -> list[str]:
    """Return the names of the bins of some values."""
    dtype = object if isinstance(found, binning.CategoryBins) else np.float32
    return [found.names[position] for position in found.assign(np.array(values, dtype))]


def test_words_have_a_bin_each() -> None:
    found = made("category", ["a", "b", "b", ""], categories=("b", "a"), nullable=True)
    assert found.names == ("b", "a", "missing")
    assert where(found, ["a", "", "b"]) == ["a", "missing", "b"]
    assert found.shares == pytest.approx([2.5 / 5.5, 1.5 / 5.5, 1.5 / 5.5])


def test_rare_ones_of_many_words_share_a_bin() -> None:
    categories = tuple(f"w{i}" for i in range(100))
    values = [*categories[50:60] * 50, *categories] * 10
    found = made("category", values, categories=categories)
    assert set(found.names) == {*categories[50:60], *found.names[10:]}
    assert found.names[-1] == "other"
    assert len(found.names) <= binning.MAX_CATEGORY_BINS
    assert where(found, ["w99", "w55"]) == ["other", "w55"]
    few = made("category", categories, categories=categories)
    assert few.names == ("other",), "the share of a category that one row has is chance"


def test_categories_called_missing_and_other_mean_what_they_say() -> None:
    categories = ("missing", "other", *(f"w{i}" for i in range(50)))
    found = made("category", ["missing", "other", ""] * 100, categories=categories, nullable=True)
    assert found.names == ("missing", "other")
    assert where(found, ["", "missing", "w7"]) == ["missing", "missing", "other"]


def test_truth_values() -> None:
    assert where(made("bool", [0, 1, np.nan], nullable=True), [1, np.nan, 0]) == ["true", "missing", "false"]
    assert made("bool", [0, 1]).names == ("false", "true")
    assert made("bool", [0, 1]).assign(np.array([True, False])).tolist() == [1, 0]


def test_numbers_are_cut_into_equal_parts_and_what_lies_outside() -> None:
    found = made("float", np.arange(1000), nullable=True)
    assert len(found.names) == binning.MAX_NUMBER_BINS + 3
    assert found.shares[1:-2] == pytest.approx([0.1] * binning.MAX_NUMBER_BINS, abs=0.001)
    assert where(found, [-1, 0, 999, 1000, np.nan]) == ["00 <0", "01 0..100", "10 900..999", "11 >999", "missing"]
    assert max(found.shares[0], *found.shares[-2:]) < 0.001


def test_repeated_numbers_make_fewer_bins() -> None:
    found = made("float", [0] * 900 + list(range(1, 101)))
    assert found.names == ("00 <0", "01 0..1", "02 1..100", "03 >100")
    capped = made("float", np.minimum(np.arange(1000), 500))
    assert capped.names[-2:] == ("06 500", "07 >500")
    assert where(capped, [500, 500.1]) == ["06 500", "07 >500"]


def test_few_whole_numbers_have_a_bin_each() -> None:
    found = made("int", [0, 1, 1, 2, 8] * 100)
    assert found.names == ("00 <0", "01 0", "02 1", "03 2..7", "04 8", "05 >8")
    assert where(found, [0, 2, 5, 8, 9, -1]) == ["01 0", "03 2..7", "03 2..7", "04 8", "05 >8", "00 <0"]


def test_many_whole_numbers_are_cut_between_whole_numbers() -> None:
    assert made("int", RANDOM.integers(0, 30, 1000)).names[1:3] == ("01 0..2", "02 3..5")


@pytest.mark.parametrize("values", [[7] * 50, [7]])
def test_one_number_is_one_bin(values: list[float]) -> None:
    assert made("float", values).names == ("00 <7", "01 7", "02 >7")


def test_numbers_that_are_all_missing_have_one_bin() -> None:
    found = made("float", [np.nan] * 3, nullable=True)
    assert where(found, [1, np.nan]) == ["any", "missing"]


@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_days_after_those_of_the_training_are_no_drift(kind: str) -> None:
    parts = len(times.WEIGHTS[kind])
    days = np.zeros((1000, parts), np.float32)
    days[:, times.PARTS[kind].index("days")] = np.arange(1000)
    days[:10] = np.nan
    found = made(kind, days, nullable=True)
    assert where(found, [days[10], days[-1] + 10_000, days[0]]) == ["any", "any", "missing"]
    assert found.shares == pytest.approx([0.99, 0.01], abs=0.001)


def test_fewer_rows_make_fewer_bins() -> None:
    assert len(made("float", RANDOM.normal(size=100)).names) == binning.MIN_BINS + 2


def test_names_stand_in_the_order_of_the_numbers() -> None:
    names = made("float", RANDOM.normal(size=1000) * 1000).names
    assert sorted(names) == list(names)
    assert len(set(names)) == len(names)


def test_vectors_count_by_their_mean_and_chances_by_the_largest() -> None:
    vectors = [[0, 3, 3], [1, 0, 5], [3, 0, 0]] * 50
    assert made("vector", vectors, length=3).names == ("00 <1", "01 1..2", "02 2", "03 >2")
    assert made("vector", vectors, length=3, name="probabilities").names == ("00 <3", "01 3..5", "02 5", "03 >5")
    huge = np.full((1, 3), np.finfo(np.float32).max, np.float32)
    assert made("vector", vectors, length=3).assign(huge).tolist() == [3]


def test_what_no_bin_is_meant_for_is_counted_nowhere() -> None:
    categories, numbers = made("category", ["a"], categories=("a",)), made("float", [1.0])
    for found, strange in ((categories, "z"), (numbers, np.nan)):
        (position,) = found.assign(np.array([strange], object if found is categories else np.float32))
        assert position == len(found.names)
        assert binning.count(found, np.array([0, position])).tolist() == [1] + [0] * (len(found.names) - 1)


def test_bins_are_the_same_after_json() -> None:
    for found in (
        made("float", RANDOM.normal(size=500), nullable=True),
        made("category", ["a"], categories=("a", "b")),
    ):
        assert type(found).model_validate_json(found.model_dump_json()) == found


def test_psi_tells_a_shift_from_chance() -> None:
    found = made("float", RANDOM.normal(size=1000))
    apart = {
        by: drift.psi(
            drift.with_half_rows(binning.count(found, found.assign(RANDOM.normal(by, size=500)))), found.shares
        )
        for by in (0, 0.2, 1)
    }
    assert apart[0] < 0.1
    assert apart[0.2] < 0.25 < apart[1]
    assert drift.psi(found.shares, found.shares) == 0
    assert drift.psi([0.2, 0.8], [0.5, 0.5]) == pytest.approx(-0.3 * np.log(0.4) + 0.3 * np.log(1.6))


def test_bins_of_many_numbers_come_from_some_of_them_and_begin_at_the_smallest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large_arrays, "MOST_ROWS", 5000)
    values = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    bins = binning.make(FieldSpec(name="amount", kind="float"), values)
    assert bins.edges[0] == values.min()
    assert bins.edges[-1] == np.nextafter(np.float64(values.max()), np.inf)
    assert np.array(bins.shares[1:-1]) == pytest.approx(np.full(10, 0.1), abs=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
def test_numbers_fall_where_a_search_in_the_edges_finds_them(dtype: Any) -> None:
    near = np.array(
        [0.1, 1 / 3, 1, 7, 1e20, 1e300]
    )  # of which float32 has none but 1 and 7, and is infinite for the last
    found = binning.NumberBins(names=tuple("abcdefg"), edges=tuple(near.tolist()))
    with np.errstate(over="ignore"):
        float32 = near.astype(np.float32)
        beside = [np.nextafter(float32, np.float32(to)) for to in (-np.inf, np.inf)]
        values = np.concatenate([near, float32, *beside, RANDOM.normal(size=1000), [0, -np.inf, np.inf, np.nan]])
        if np.dtype(dtype).kind in "ib":
            values = values[np.abs(values) < 1e9]
        values = values.astype(dtype)
    assert found.assign(values).tolist() == np.searchsorted([*near, np.inf], values, side="right").tolist()
    matrix = np.stack([values, values], axis=1)
    assert found.assign(matrix[:, 1]).tolist() == found.assign(values).tolist()


def test_every_one_of_many_bins_has_a_position() -> None:
    names = tuple(f"c{i}" for i in range(1000))
    found = binning.CategoryBins(names=names, positions={name: i for i, name in enumerate(names)})
    assert found.assign(np.array([*names[::-1], "z"], object)).tolist() == [*range(999, -1, -1), 1000]
    numbers = binning.NumberBins(names=(*names, "last"), edges=tuple(map(float, range(1000))))
    assert numbers.assign(np.array([-1, 0, 998.5, 999, np.nan], np.float32)).tolist() == [0, 1, 999, 1000, 1001]


def test_no_rows_have_no_positions() -> None:
    for found in (made("float", [1.0, 2.0]), made("category", ["a"], categories=("a",))):
        assert len(found.assign(np.array([], np.float32))) == 0
