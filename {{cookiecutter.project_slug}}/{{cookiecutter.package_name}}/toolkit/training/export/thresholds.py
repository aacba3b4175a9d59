"""The thresholds of a model of trees, metadata of its ONNX file: rows on the same side of all are equal to the model.

Many rows then cost as much as those that differ, see `version/row_groups.py`. A model gets no thresholds if anything
but trees decides, or if the trees see anything but the columns of a row as they are, with categories one-hot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...version.row_groups import METADATA, Thresholds
from ...version.runtime import MATRIX_INPUT

TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
#: To a model of more thresholds almost all rows differ, and a service would read them at its start.
MAX_THRESHOLDS = 10_000
#: Comparisons by which a number equal to the threshold goes with those below it, and with those above it.
WITH_BELOW, WITH_ABOVE = {b"BRANCH_LEQ", b"BRANCH_GT"}, {b"BRANCH_LT", b"BRANCH_GTE"}


class UnknownError(ValueError):
    """What the trees see cannot be told."""


def of(model: Any, names: Sequence[str]) -> Thresholds | None:
    """Return the thresholds of an ONNX model (`onnx.ModelProto`) that is fed some columns; None if it has none."""
    try:
        return Graph(model.graph, names).thresholds()
    except (LookupError, ValueError):  # nodes of other forms than those known here
        return None


def add(model: Any, names: Sequence[str]) -> None:
    """Add the thresholds to a model's metadata if it has any."""
    found = of(model, names)
    if found is not None:
        model.metadata_props.add(key=METADATA, value=json.dumps(found))


class Graph:
    """The graph of a model, from its outputs back to the columns."""

    def __init__(self, graph: Any, names: Sequence[str]) -> None:
        self._graph, self._names = graph, names
        self._makers = {output: node for node in graph.node for output in node.output}
        self._weights = {weight.name: weight for weight in graph.initializer}

    def thresholds(self) -> Thresholds:
        """Return the thresholds of each column that the model uses, of a text its categories, in ascending order."""
        found: dict[str, set[Any]] = {}
        for tree in self._trees():
            columns = self.columns(tree.input[0])
            for column in columns:
                found.setdefault(column.name, set()).update(column.categories)
            for feature, threshold in _comparisons(tree):
                if feature >= len(columns):
                    raise UnknownError
                if not columns[feature].is_text:
                    found[columns[feature].name].add(threshold)
        if not found or sum(map(len, found.values())) > MAX_THRESHOLDS:
            raise UnknownError
        return {name: sorted(values) for name, values in found.items()}

    def columns(self, value: str) -> list[Column]:
        """Return of which column of a row each column of a value is made; `UnknownError` if of several or changed."""
        node = self._makers.get(value)
        if node is None:
            return self._input(value)
        if node.op_type in ("Reshape", "Gather", "ArrayFeatureExtractor"):
            return self._chosen(node)
        if node.op_type not in COLUMNS:
            raise UnknownError
        return COLUMNS[node.op_type](node, [self.columns(name) for name in node.input])

    def _chosen(self, node: Any) -> list[Column]:
        """Return what a constant chooses: columns by their numbers, or the shape of a matrix, which stays as it is."""
        from onnx import numpy_helper

        columns, constant = self.columns(node.input[0]), self._weights.get(node.input[1])
        numbers = None if constant is None else numpy_helper.to_array(constant)
        if numbers is None or numbers.ndim > 2:
            raise UnknownError
        chosen = numbers.reshape(-1).tolist()
        if node.op_type == "Reshape":
            if chosen != [-1, len(columns)]:
                raise UnknownError
            return columns
        if node.op_type == "Gather" and (numbers.ndim != 1 or _attributes(node)["axis"].i != 1):
            raise UnknownError
        return [columns[number] for number in chosen]

    def _input(self, name: str) -> list[Column]:
        if name == MATRIX_INPUT:
            return [Column(column, is_text=False) for column in self._names]
        if name not in self._names:
            raise UnknownError
        [type_] = [each.type.tensor_type.elem_type for each in self._graph.input if each.name == name]
        return [Column(name, is_text=type_ == STRING)]

    def _trees(self) -> list[Any]:
        """Return the nodes through which all that the model puts out depends on its inputs."""
        waiting, seen, trees = [output.name for output in self._graph.output], set(), []
        while waiting:
            value = waiting.pop()
            if value in seen or value in self._weights or not value:
                continue
            seen.add(value)
            node = self._makers.get(value)
            # An input behind which there are no trees, or a graph in the graph, which may use any value.
            if node is None or any(attribute.HasField("g") for attribute in node.attribute):
                raise UnknownError
            if node.op_type in TREES:
                trees.append(node)
            else:
                waiting += node.input
        return trees


class Column(NamedTuple):
    """The column of a row that a feature is made of: a number as it is, of a text whether it is a category."""

    name: str
    is_text: bool
    #: Those that a model tells apart; it takes all other texts for the same.
    categories: tuple[str, ...] = ()


def _same(node: Any, given: list[list[Column]]) -> list[Column]:
    return given[0]


def _joined(node: Any, given: list[list[Column]]) -> list[Column]:
    if _attributes(node)["axis"].i not in (1, -1):
        raise UnknownError
    return [column for columns in given for column in columns]


def _cast(node: Any, given: list[list[Column]]) -> list[Column]:
    if _attributes(node)["to"].i not in (FLOAT, DOUBLE):
        raise UnknownError
    return _same(node, given)


def _one_hot(node: Any, given: list[list[Column]]) -> list[Column]:
    [[column]] = given
    if not column.is_text:
        raise UnknownError
    categories = tuple(category.decode() for category in _attributes(node)["cats_strings"].strings)
    return [column._replace(categories=categories)] * len(categories)


#: Data types of ONNX.
FLOAT, STRING, DOUBLE = 1, 8, 11
#: The operators that may be between the columns and the trees, beside those that a constant chooses by.
COLUMNS: dict[str, Callable[[Any, list[list[Column]]], list[Column]]] = {
    "Identity": _same,
    "Cast": _cast,
    "Concat": _joined,
    "OneHotEncoder": _one_hot,
}


def _comparisons(tree: Any) -> Iterator[tuple[int, float]]:
    """Yield feature and threshold of each branch; numbers up to the threshold go one way, larger ones the other."""
    given = _attributes(tree)
    if "nodes_values" not in given:  # they are float64
        raise UnknownError
    parts = given["nodes_featureids"].ints, given["nodes_values"].floats, given["nodes_modes"].strings
    for feature, threshold, mode in zip(*parts, strict=True):
        if mode in WITH_BELOW:
            yield feature, float(np.float32(threshold))
        elif mode in WITH_ABOVE:
            yield feature, float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
        elif mode != b"LEAF":
            raise UnknownError


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: attribute for attribute in node.attribute}
