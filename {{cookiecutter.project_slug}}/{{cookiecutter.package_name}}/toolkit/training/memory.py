"""Memory that was freed, but that libraries keep for later."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def release() -> None:
    """Give free memory back to the system, as far as that is known there; the fit of the model may need all of it."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
