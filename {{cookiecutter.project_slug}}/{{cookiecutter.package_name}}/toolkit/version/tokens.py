"""Tokens of texts: how texts are compared with those of the training."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

TOKEN = re.compile(r"\w+")
#: Tokens that are known; the rarest of more of them count as unseen.
MAX_VOCABULARY = 20_000
#: Characters of a text that are looked at: the cost of a row has a limit.
MAX_CHARACTERS = 2000


def split(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case."""
    return TOKEN.findall(text[:MAX_CHARACTERS].lower())


def vocabulary(texts: np.ndarray) -> list[str]:
    """Return the most frequent tokens of texts (n,), in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts.tolist():
        counts.update(split(text))
    return sorted(token for token, _ in counts.most_common(MAX_VOCABULARY))


def lengths(texts: np.ndarray) -> np.ndarray:
    """Return the number of characters of texts (n,) as float64, NaN where missing."""
    sizes = np.fromiter(map(len, texts.tolist()), np.float64, len(texts))
    return np.where(sizes == 0, np.nan, sizes)


def unseen(texts: np.ndarray, known: frozenset[str]) -> np.ndarray:
    """Return the share of the tokens of texts (n,) that are not known, NaN where the text is missing."""
    return np.fromiter((_unseen(text, known) for text in texts.tolist()), np.float64, len(texts))


def _unseen(text: str, known: frozenset[str]) -> float:
    if not text:
        return np.nan
    found = split(text)
    return sum(token not in known for token in found) / len(found) if found else 0.0
