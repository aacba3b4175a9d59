"""Trees that are too many for ONNX: of a forest, each leaf has a number for each class, and each number is an object.

A million of them take 2 s and 300 MB to convert; 50 trees of 3,000 leaves with 500 classes have 75 million.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .converters import parts

MOST_VALUES = 5_000_000


def too_large(estimator: Any) -> str:
    """Return why a fitted estimator is not converted, "" if it may be."""
    count = leaf_values(estimator)
    if count <= MOST_VALUES:
        return ""
    return (
        f"not converted to ONNX: its trees have {count / 1e6:.0f} million numbers (leaves times classes), more than "
        f"{MOST_VALUES / 1e6:.0f} million; max_leaf_nodes, min_samples_leaf or fewer trees make it smaller"
    )


def leaf_values(estimator: Any) -> int:
    """Return the numbers in the leaves of scikit-learn's trees."""
    trees = (getattr(part, "tree_", None) for part in parts(estimator))
    return sum(int(tree.n_leaves * np.prod(tree.value.shape[1:])) for tree in trees if tree is not None)
