"""What a command imports is not searched for garbage; what it makes later is."""

import gc

import pytest
from titanic_survival.toolkit.common.imports import uncollected


def test_garbage_is_collected_after_the_block_and_not_in_it() -> None:
    frozen = gc.get_freeze_count()
    kept = []
    try:
        with uncollected():
            assert not gc.isenabled()
            kept = [[number] for number in range(100_000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() - frozen > len(kept)
    finally:
        gc.unfreeze()


def test_garbage_is_collected_after_an_error_too() -> None:
    try:
        with pytest.raises(ImportError), uncollected():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
