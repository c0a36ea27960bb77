"""Export of a module to an ONNX file: names, metadata, weights in half precision."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from ..files import atomic


OPSET = 18


def trace(
    module: nn.Module,
    inputs: Mapping[str, Any],
    outputs: tuple[str, ...],
    dynamic_shapes: Mapping[str, Any] | None,
    metadata: Mapping[str, str],
) -> ModelProto:
    """Export a module to ONNX.

    Args:
        module (`nn.Module`): In evaluation mode; the parameters of its `forward` have the inputs' names.
        inputs (`Mapping[str, Any]`): Example inputs by name; a nested dictionary has the names of its inputs as keys.
        outputs (`tuple[str, ...]`): Names of the outputs.
        dynamic_shapes (`Mapping[str, Any]`, *optional*): In the format of `torch.export`; `None` fixes all shapes.
        metadata (`Mapping[str, str]`): Metadata of the file.
    """
    with torch.no_grad(), quiet():
        program: Any = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            input_names=[
                name for key, value in inputs.items() for name in (value if isinstance(value, dict) else [key])
            ],
            output_names=outputs,
            dynamic_shapes=None if dynamic_shapes is None else dict(dynamic_shapes),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # see `simplify`
            verbose=False,
        )
    simplify(program.model)
    model = program.model_proto
    forget_source(model)
    store_constants_as_tensors(model)
    helper.set_model_props(model, dict(metadata))
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the exporter's warnings, which concern only its internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def simplify(model: Any) -> None:
    """Fold only constants: the exporter's own optimization also folds batch norms into weights.

    Such weights would not be exact in half precision. onnxruntime folds batch norms when it loads the file.
    """
    optimizer.inline(model)
    for _ in range(2):
        optimizer.fold_constants(model)
        optimizer.remove_unused_nodes(model)


def store_constants_as_tensors(model: ModelProto) -> None:
    """Store the values of Constant nodes as tensors: onnxruntime's tools for quantization know no other form."""
    types = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    for node in (node for graph in (model.graph, *model.functions) for node in graph.node):
        if node.op_type == "Constant" and node.attribute[0].name in types:
            (given,) = node.attribute
            values = np.array(helper.get_attribute_value(given), dtype=types[given.name])
            given.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(values)))


def forget_source(model: ModelProto) -> None:
    """Remove the exporter's information on the source code, which includes local paths."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.doc_string = ""
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
        for value in (*graph.value_info, *getattr(graph, "initializer", ())):
            value.doc_string = ""
            del value.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]


def store_small(model: ModelProto) -> None:
    """Store float32 weights as float16, or as 8-bit integers with scales, and convert them at the start of the graph.

    Only weights that stay exact are converted: the caller has already rounded the network's weights. onnxruntime
    converts them once, when it loads the file.
    """
    stored, nodes = [], []
    for weight in model.graph.initializer:
        values, name = numpy_helper.to_array(weight), weight.name
        if weight.data_type != TensorProto.FLOAT or values.ndim < 2:
            stored.append(weight)
            continue
        half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            stored.append(numpy_helper.from_array(half, f"{name}_half"))
            nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], name=f"cast_{name}", to=TensorProto.FLOAT))
            continue
        for axis in (0, -1):  # of the output channels: of convolutions, and of their transposed matrices
            numbers, scales = to_8_bits(values, axis)
            if np.array_equal(numbers * scales, values):
                break
        else:
            stored.append(weight)
            continue
        stored += [numpy_helper.from_array(numbers, f"{name}_int8"), numpy_helper.from_array(scales, f"{name}_scale")]
        nodes += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_whole"], name=f"cast_{name}", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_whole", f"{name}_scale"], [name], name=f"scale_{name}"),
        ]
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(stored)
    model.graph.node.extend(nodes)


def to_8_bits(weight: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Round a weight to 8 bits with a scale per output channel, whose largest magnitude becomes 127.

    Args:
        weight (`np.ndarray`): float32 of any shape.
        axis (`int`): The axis of the output channels.

    Returns:
        `tuple`: int8 in -127..127, and scales, float32 of 11 bits: their product has no rounding error, and rounding
        it again changes nothing.
    """
    others = tuple(one for one in range(weight.ndim) if one != axis % weight.ndim)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    mantissa, exponent = np.frexp(largest / 127)
    scales = np.ldexp(np.round(mantissa * 2048) / 2048, exponent).astype(np.float32)
    numbers = np.round(weight / np.where(scales == 0, 1, scales))
    return numbers.astype(np.int8), scales


def save_onnx(model: ModelProto, file: Path) -> None:
    """Write a file atomically."""
    with atomic(file) as unfinished:
        unfinished.write_bytes(model.SerializeToString())
