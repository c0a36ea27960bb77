"""Export of a pipeline's networks.

Legend: N batch, I image channels, L labels, P condition channels, H W height and width, Z latent.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim

from ..pipelines import SPADEPipeline
from ..version import __version__
from .graphs import (
    ImagesOfLabelIds,
    ImagesOfNeighborhoods,
    LatentsOfImages,
    LogitsOfLabelMaps,
    ProbabilitiesOfImages,
)
from .neighborhoods import neighborhood_inputs
from .onnx_file import store_small, to_8_bits, trace


Dtype = Literal["float32", "float16", "int8"]
Modulation = Literal["dense", "sparse"]
SEGMENTER_DIVISOR = 32  # of the sides of the images that a segmenter's file takes: its deepest level's stride
OUTLINE_DIVISOR = 8  # of the sides of the maps that an outline model's file takes; it pads them as the network does


def export_generator(
    pipeline: SPADEPipeline,
    *,
    size: tuple[int, int] | None = None,
    dtype: Dtype = "float32",
    modulation: Modulation = "dense",
) -> ModelProto:
    """Export a pipeline's generator.

    Inputs are `label_ids`, int64 `(N, H, W)`, the data set's ids, for a model with labels; `latents`, float32
    `(N, Z)`, for a model with latents; `instance_edges`, bool `(N, H, W)`, for a model with edges; `condition`,
    float32 `(N, P, H, W)` in [-1, 1], for a model that reads one. The output is `images`, float32 `(N, I, H, W)` in
    [-1, 1]. The metadata contain labels, colors and sizes, and channels and ranges of values of images and conditions.

    A file with sparse modulation generates images of one mask in N styles. Instead of ids and edges, it takes the
    result of [`neighborhood_inputs`].

    Args:
        pipeline (`SPADEPipeline`): On the CPU.
        size (`tuple[int, int]`, *optional*): Fixed H and W; a dense file then also has N = 1. Default: dynamic, with H
            and W multiples of the metadata's `size_divisor`.
        dtype (`str`, defaults to "float32"): "float16" stores weights in half precision, "int8" as 8-bit integers with
            a scale per output channel; the arithmetic is float32.
        modulation (`str`, defaults to "dense"): "sparse" computes gamma and beta once for each distinct label
            neighborhood. The result is exact; the model must have SPADE layers.

    Returns:
        `ModelProto`: See [`save_onnx`].

    Raises:
        ValueError: If the size does not fit the model, a weight is too large for half precision, or `modulation` is
            "sparse" and the model has no SPADE layers or reads a condition.
    """
    generator = exported_copy(pipeline.generator, dtype)
    config, divisor = generator.config, generator.size_divisor
    processor, label_set = pipeline.image_processor, pipeline.image_processor.label_set_or_none
    height, width = generator.native_size
    options = {**processor.image_options(), **processor.condition_options()}
    metadata = {
        "labels": json.dumps([] if label_set is None else [label._asdict() for label in label_set.labels]),
        "unknown_id": json.dumps(None if label_set is None else label_set.unknown_id),
        **{name: json.dumps(value) for name, value in options.items()},
        "image_size": json.dumps(size or (height, width)),
        "size_divisor": json.dumps(divisor),
        "latent_dim": json.dumps(config.latent_dim),
        "use_instance_edges": json.dumps(config.use_instance_edges),
        "modulation": modulation,
    }
    if size is None:
        # The example differs from the model's native size, for which the graph would not resize the first activation.
        # Its sides differ because the tracer could treat equal sides as one.
        example, batch_size = (height + divisor, height + 2 * divisor), 2
    else:
        generator.check_size(*size, "`size`")
        example, batch_size = size, 1
    # The inputs to trace with, and which of their sides are dynamic.
    latents = {} if config.latent_dim is None else {"latents": torch.zeros(batch_size, config.latent_dim)}
    if modulation == "sparse":
        num_channels = 0 if label_set is None else label_set.num_channels
        module = ImagesOfNeighborhoods(generator, num_channels)
        reading = {
            "num_codes": num_channels * (1 + config.use_instance_edges),
            "kernel_size": config.spade_kernel_size,
            "divisors": list(dict.fromkeys(module.divisors)),
        }
        metadata |= {name: json.dumps(value) for name, value in reading.items()}
        codes = np.arange(example[0] * example[1]).reshape(example) % reading["num_codes"]
        inputs = {"neighborhoods": as_tensors(neighborhood_inputs(codes, **reading)), **latents}
        shapes = neighborhood_shapes(inputs, size)
    else:
        module = ImagesOfLabelIds(generator, label_set)
        inputs = latents
        if label_set is not None:
            inputs = {"label_ids": torch.full((batch_size, *example), label_set.ids[0]), **latents}
        if config.use_instance_edges:
            inputs["instance_edges"] = torch.zeros(batch_size, *example, dtype=torch.bool)
        if processor.config.condition_channels:
            inputs["condition"] = torch.zeros(batch_size, processor.config.condition_channels, *example)
        shapes = None if size is not None else generator_shapes(inputs, divisor)
    return finish(module, inputs, ("images",), shapes, metadata, dtype)


def export_style_encoder(pipeline: SPADEPipeline, *, dtype: Dtype = "float32") -> ModelProto:
    """Export a pipeline's style encoder.

    The input is `pictures`, float32 `(N, I, H, W)` in [-1, 1], which are resized to the metadata's `image_size`. To
    get the pipeline's styles, resize them to this size with antialiasing first. Outputs are `latents`, the mean,
    and `logvar`, the logarithm of the variance, each float32 `(N, Z)`.

    Args:
        pipeline (`SPADEPipeline`): On the CPU.
        dtype (`str`, defaults to "float32"): See [`export_generator`].

    Raises:
        ValueError: If the pipeline has no style encoder, or a weight is too large for half precision.
    """
    if pipeline.style_encoder is None:
        raise ValueError("This model has no style encoder to export.")
    encoder = exported_copy(pipeline.style_encoder, dtype)
    size = encoder.config.image_size
    metadata = {"image_size": json.dumps([size, size]), "latent_dim": json.dumps(encoder.config.latent_dim)}
    metadata |= {name: json.dumps(value) for name, value in pipeline.image_processor.image_options().items()}
    inputs = {"pictures": torch.zeros(2, encoder.config.image_channels, size + 1, size + 2)}
    shapes = {"pictures": {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}}
    return finish(LatentsOfImages(encoder), inputs, ("latents", "logvar"), shapes, metadata, dtype)


def export_outline_model(pipeline: SPADEPipeline, *, dtype: Dtype = "float32") -> ModelProto:
    """Export a pipeline's outline model.

    Inputs are `noisy_map`, float32 `(N, L, H, W)`; `label_map`, int64 `(N, H, W)` in 0..L, where L is "not painted";
    and `log_snr`, float32 `(N,)`. H and W are multiples of 8. The output is `logits`, float32 `(N, L, H, W)`. The
    metadata contain the L labels (id, name and color) in the order of their numbers, and the noise levels.

    Args:
        pipeline (`SPADEPipeline`): On the CPU.
        dtype (`str`, defaults to "float32"): See [`export_generator`].

    Raises:
        ValueError: If the pipeline has no outline model, or a weight is too large for half precision.
    """
    if pipeline.outline_model is None:
        raise ValueError("This model has no outline model to export.")
    network = exported_copy(pipeline.outline_model, dtype)
    config = network.config
    metadata = {
        "num_labels": json.dumps(config.num_labels),
        "labels": _labels_of(pipeline),
        "min_log_snr": json.dumps(config.min_log_snr),
        "max_log_snr": json.dumps(config.max_log_snr),
        "size_divisor": json.dumps(OUTLINE_DIVISOR),
    }
    size = (5 * OUTLINE_DIVISOR, 6 * OUTLINE_DIVISOR)
    inputs = {
        "noisy_map": torch.zeros(2, config.num_labels, *size),
        "label_map": torch.zeros(2, *size, dtype=torch.int64),
        "log_snr": torch.zeros(2),
    }
    batch = Dim("batch")
    height, width = (OUTLINE_DIVISOR * Dim(f"{side}_in_units", min=1) for side in ("height", "width"))
    shapes = {
        "noisy_map": {0: batch, 2: height, 3: width},
        "label_map": {0: batch, 1: height, 2: width},
        "log_snr": {0: batch},
    }
    return finish(LogitsOfLabelMaps(network), inputs, ("logits",), shapes, metadata, dtype)


def export_segmenter(pipeline: SPADEPipeline, *, dtype: Dtype = "float32") -> ModelProto:
    """Export a pipeline's segmenter.

    The input is `images`, float32 `(N, 3, H, W)` in [-1, 1], with H and W multiples of 32. The output is
    `probabilities`, float32 `(N, L, H / 4, W / 4)`, whose sums over the labels are 1. The metadata contain the L
    labels (id, name and color) in the order of their numbers, and the side of the square images that are read best.

    Args:
        pipeline (`SPADEPipeline`): On the CPU.
        dtype (`str`, defaults to "float32"): See [`export_generator`].

    Raises:
        ValueError: If the pipeline has no segmenter, or a weight is too large for half precision.
    """
    if pipeline.segmenter is None:
        raise ValueError("This model has no segmenter to export.")
    network = exported_copy(pipeline.segmenter, dtype)
    metadata = {
        "labels": _labels_of(pipeline),
        "image_size": json.dumps(network.config.image_size),
        "size_divisor": json.dumps(SEGMENTER_DIVISOR),
    }
    inputs = {"images": torch.zeros(2, 3, 3 * SEGMENTER_DIVISOR, 4 * SEGMENTER_DIVISOR)}
    height, width = (SEGMENTER_DIVISOR * Dim(f"{side}_in_units", min=1) for side in ("height", "width"))
    shapes = {"images": {0: Dim("batch"), 2: height, 3: width}}
    return finish(ProbabilitiesOfImages(network), inputs, ("probabilities",), shapes, metadata, dtype)


def _labels_of(pipeline: SPADEPipeline) -> str:
    """Return the labels without unknown, in the order of their classes, as JSON."""
    label_set = pipeline.image_processor.label_set
    return json.dumps([label_set.labels[channel]._asdict() for channel in label_set.class_channels])


def exported_copy(network: Any, dtype: Dtype) -> Any:
    """Copy a network for export: spectral norm fused, and its weights rounded to `dtype`."""
    network = deepcopy(network).float().eval()
    network.fuse_spectral_norm()
    if dtype == "float32":
        return network
    for name, weight in network.named_parameters():
        if weight.ndim < 2:  # biases and statistics are small and stay exact
            continue
        if dtype == "int8":
            numbers, scales = to_8_bits(weight.detach().numpy())
            weight.data = torch.from_numpy(numbers * scales)
        else:
            weight.data = weight.data.half().float()
        if not weight.isfinite().all():
            raise ValueError(f"The weight {name} is too large for {dtype}. Export float32.")
    return network


def generator_shapes(inputs: Mapping[str, Tensor], divisor: int) -> dict[str, Any]:
    """Return the dynamic shapes of a dense file, in the format of `torch.export`."""
    batch = Dim("batch")
    rows, columns = Dim("height_in_units", min=2), Dim("width_in_units", min=2)
    first = {"latents": None, "condition": 2}  # the axis of the height; the first one behind the batch by default
    axes = {name: first.get(name, 1) for name in inputs}
    return {
        name: {0: batch} if axis is None else {0: batch, axis: divisor * rows, axis + 1: divisor * columns}
        for name, axis in axes.items()
    }


def neighborhood_shapes(inputs: Mapping[str, Any], size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the dynamic shapes of a sparse file: numbers of neighborhoods and styles, and the size if not fixed."""
    shapes: dict[str, Any] = {"neighborhoods": {}}
    for name in inputs["neighborhoods"]:
        kind = name.partition("_")[0]
        is_fixed = kind == "positions" and size is not None
        axes = (0, 1) if kind == "positions" else (0,)
        shapes["neighborhoods"][name] = {} if is_fixed else dict.fromkeys(axes, Dim.AUTO)
    if "latents" in inputs:
        shapes["latents"] = {0: Dim.AUTO}
    return shapes


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Convert arrays to tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def finish(
    module: nn.Module,
    inputs: Mapping[str, Any],
    outputs: tuple[str, ...],
    shapes: Mapping[str, Any] | None,
    metadata: Mapping[str, str],
    dtype: Dtype,
) -> ModelProto:
    """Trace a module, and store its weights in the requested precision."""
    metadata = {"spade_hf_version": __version__, "dtype": dtype, **metadata}
    model = trace(module, inputs, outputs, shapes, metadata)
    if dtype != "float32":
        store_small(model)
    return model
