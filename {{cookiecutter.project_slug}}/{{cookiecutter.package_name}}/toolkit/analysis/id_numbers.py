"""Prediction ids as 64-bit numbers: labels and rows are joined by these, which take a fraction of the memory.

Numbers of different ids are different: among ten million ids, two share one with a probability of 0.000003.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from ..monitoring.prediction_ids import CODE_LENGTH, ID_LENGTH

#: An odd constant near 2^64 divided by the golden ratio, which spreads numbers that follow each other.
FACTOR = np.uint64(0x9E3779B97F4A7C15)


def id_numbers(ids: list[str]) -> np.ndarray:
    """Return a uint64 for each id (n,), evenly spread: the first bits of the numbers choose a random sample."""
    lengths = set(map(len, ids))
    if len(lengths) == 1:
        found = _of_digits("".join(ids), lengths.pop())
        if found is not None:
            return found
    return np.array([_of_any(text) for text in ids], np.uint64)


def _of_any(text: str) -> int:
    found = _of_digits(text, len(text))
    if found is not None:
        return int(found[0])
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())


def _of_digits(text: str, length: int) -> np.ndarray | None:
    """Return the numbers of ids of one length, one after the other; None if one of them is no id of a prediction."""
    if length < ID_LENGTH or length % CODE_LENGTH:
        return None
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    if 2 * len(content) != len(text):  # fromhex() skips spaces
        return None
    words = np.frombuffer(content, ">u4").reshape(-1, length // CODE_LENGTH).astype(np.uint64)
    numbers = np.zeros(len(words), np.uint64)
    for column in words.T:
        numbers = (numbers ^ column) * FACTOR
        numbers ^= numbers >> np.uint64(32)
    return numbers
