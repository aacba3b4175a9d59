"""Graphs that an estimator makes itself: by a method `to_onnx()`, or by CatBoost's export."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...version.runtime import MATRIX_INPUT

#: The version of ONNX's own operators, where a graph has none of them yet.
OPSET = 18
#: What the outputs and the values in between of a last step are prefixed with.
PREFIX = "last_step_"


def of(estimator: Any) -> Any:
    """Return a copy of the graph (`onnx.ModelProto`) that an estimator makes itself, None if it makes none."""
    import onnx

    if callable(getattr(estimator, "to_onnx", None)):
        made = estimator.to_onnx()
    elif type(estimator).__module__.partition(".")[0] == "catboost":
        from catboost.utils import convert_to_onnx_object

        made = convert_to_onnx_object(estimator)
    else:
        return None
    if isinstance(made, onnx.ModelProto):
        made = made.SerializeToString()
    if not isinstance(made, bytes):
        name = type(estimator).__name__
        raise TypeError(f"{name}.to_onnx() returned {type(made).__name__}, not an onnx.ModelProto or its bytes")
    return onnx.load_model_from_string(made)


def opset(model: Any) -> dict[str, int]:
    """Return the version of ONNX's own operators that a model uses, by their domain, if it uses any."""
    return {domain: version for domain, version in _versions(model).items() if not domain}


def _versions(model: Any) -> dict[str, int]:
    # The domain of ONNX's own operators has two names.
    return {entry.domain.removesuffix("ai.onnx"): entry.version for entry in model.opset_import}


def complete_outputs(model: Any, classes: list[Any] | None) -> None:
    """Have a classification put out label (n,) and probabilities (n, classes).

    Probabilities as dicts become an array. If they are the only output, the label is added: the most likely class.
    """
    from onnx import TensorProto, helper

    if classes is None:
        return
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "ZipMap"]:
        [output] = [output for output in graph.output if output.name == node.output[0]]
        output.CopyFrom(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, [None, None]))
        graph.node.remove(node)
    if len(graph.output) == 1 and classes:
        labels = np.array([int(name) if isinstance(name, bool | int) else name for name in classes])
        kind = TensorProto.INT64 if labels.dtype.kind == "i" else TensorProto.STRING
        values = labels.tolist() if kind == TensorProto.INT64 else [name.encode() for name in labels.tolist()]
        graph.initializer.append(helper.make_tensor("label_names", kind, [len(values)], values))
        graph.node.append(helper.make_node("ArgMax", [graph.output[0].name], ["label_index"], axis=1, keepdims=0))
        graph.node.append(helper.make_node("Gather", ["label_names", "label_index"], ["label"]))
        graph.output.insert(0, helper.make_tensor_value_info("label", kind, [None]))


def with_inputs(model: Any, names: list[str]) -> Any:
    """Return a whole model with the inputs that the runtime feeds: one matrix, or columns by their names.

    A single input of another name is the matrix (n, columns), in its own type of numbers.
    """
    inputs = _inputs(model)
    if len(inputs) == 1 and inputs[0].name not in names:
        _cast(model, inputs[0])
    elif unknown := [each.name for each in inputs if each.name not in names]:
        raise ValueError(f"to_onnx() has the inputs {', '.join(unknown)}, which are no columns: {', '.join(names)}")
    return model


def joined(head: Any, own: Any) -> Any:
    """Return one model of the transformers of a pipeline and of its last step, which takes one matrix."""
    from onnx import compose, helper

    inputs = _inputs(own)
    if len(inputs) != 1:
        raise ValueError(f"to_onnx() of the last step has {len(inputs)} inputs; it needs one, of all features (n, k)")
    _cast(own, inputs[0])
    # Both must name the same versions. The head was converted for those of the step; it may name what it uses, or less.
    versions = _versions(head) | _versions(own)
    for model in (head, own):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
        model.ir_version = max(head.ir_version, own.ir_version)
    features = [(head.graph.output[0].name, MATRIX_INPUT)]
    return compose.merge_models(head, own, io_map=features, prefix2=PREFIX)


def _inputs(model: Any) -> list[Any]:
    """Return the inputs of a model; older ones list their weights among them."""
    weights = {weight.name for weight in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in weights]


def _cast(model: Any, matrix: Any) -> None:
    """Replace an input by a float32 matrix of the name that the runtime knows, cast to the type of that input."""
    from onnx import TensorProto, helper

    old = matrix.name
    model.graph.node.insert(0, helper.make_node("Cast", [MATRIX_INPUT], [old], to=matrix.type.tensor_type.elem_type))
    matrix.CopyFrom(helper.make_tensor_value_info(MATRIX_INPUT, TensorProto.FLOAT, [None, None]))
    if not opset(model):
        model.opset_import.append(helper.make_opsetid("", OPSET))
