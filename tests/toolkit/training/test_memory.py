"""Memory that was freed goes back to the system."""

import sys
from pathlib import Path

import numpy as np
import pytest
from titanic_survival.toolkit.training import memory

MB = 2**20


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_freed_memory_goes_back() -> None:
    memory.release()
    before = resident()
    # Small ones, which the C library keeps, with a kept one on top.
    arrays = [np.ones(2**13) for _ in range(3200)]
    kept = arrays[-1]
    del arrays
    memory.release()
    assert resident() - before < 50 * MB
    assert kept.sum() == 2**13
