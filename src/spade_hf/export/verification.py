"""Comparison of an exported file, run by onnxruntime, with the network that it was exported from.

Legend: N batch, P condition channels, H W height and width.
"""

import json
from collections.abc import Iterable

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto
from torch import Tensor

from ..images.inputs import instance_edges
from ..labels.label_set import LabelSet
from ..models.outlines import add_noise
from ..pipelines import SPADEPipeline
from .models import Dtype, exported_copy
from .neighborhoods import neighborhood_inputs


TOLERANCE = 1e-4  # largest difference of an output in [-1, 1]
BLOB = 16  # pixels per side of the blobs in random masks


def generator_difference(
    model: ModelProto, pipeline: SPADEPipeline, label_maps: Iterable[Tensor], *, dtype: Dtype
) -> float:
    """Return the largest difference between the file's images and the library's, with weights rounded alike.

    Args:
        model (`ModelProto`): The result of [`export_generator`].
        pipeline (`SPADEPipeline`): The pipeline that the model was exported from.
        label_maps (`Iterable[Tensor]`): Masks, each int64 `(N, H, W)` of channels; of a model without labels, only
            their sizes count. Conditions are random ones.
        dtype (`str`): Type of the stored weights.
    """
    session, processor = open_session(model), pipeline.image_processor
    generator = exported_copy(pipeline.generator, dtype)
    rng = torch.Generator().manual_seed(0)
    differences = []
    for label_map in label_maps:
        latents = edges = condition = None
        if generator.config.latent_dim is not None:
            latents = torch.randn(len(label_map), generator.config.latent_dim, generator=rng)
        if generator.config.use_instance_edges:
            edges = instance_edges(label_map)  # as if each label were one instance
        if num_planes := processor.config.condition_channels:
            condition = torch.rand(len(label_map), num_planes, *label_map.shape[-2:], generator=rng) * 2 - 1
        inputs = graph_inputs(session, processor.label_set_or_none, label_map, latents, edges, condition)
        (images,) = session.run(None, inputs)
        more = {} if condition is None else {"condition": condition}
        with torch.no_grad():
            segmap = label_map if processor.has_labels else None
            expected = generator(segmap, latents, instance_edges=edges, **more).images
        differences.append(np.abs(images - expected.numpy()).max().item())
    return max(differences)


def graph_inputs(
    session: onnxruntime.InferenceSession,
    label_set: LabelSet | None,
    label_map: Tensor,
    latents: Tensor | None = None,
    edges: Tensor | None = None,
    condition: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """Build the inputs of a dense or sparse file.

    Args:
        session (`InferenceSession`): Session of the file.
        label_set (`LabelSet` or `None`): Label set of the model, if it has labels.
        label_map (`Tensor`): int64 `(N, H, W)` of channels; N is 1 for a sparse file.
        latents (`Tensor`, *optional*): `(N, Z)`.
        edges (`Tensor`, *optional*): bool `(N, H, W)`.
        condition (`Tensor`, *optional*): `(N, P, H, W)` in [-1, 1].
    """
    metadata = session.get_modelmeta().custom_metadata_map
    inputs: dict[str, np.ndarray] = {}
    if label_set is not None and metadata["modulation"] == "sparse":
        codes = label_map[0] if edges is None else label_map[0] + label_set.num_channels * edges[0]
        reading = {name: json.loads(metadata[name]) for name in ("num_codes", "kernel_size", "divisors")}
        inputs = neighborhood_inputs(codes.numpy(), **reading)
    elif label_set is not None:
        inputs = {"label_ids": torch.tensor(label_set.ids)[label_map].numpy()}
        if edges is not None:
            inputs["instance_edges"] = edges.numpy()
    more = {"latents": latents, "condition": condition}
    return inputs | {name: one.numpy() for name, one in more.items() if one is not None}


def style_encoder_difference(model: ModelProto, pipeline: SPADEPipeline, *, dtype: Dtype) -> float:
    """Return the largest difference between the file's latents and the library's, on smooth random images."""
    encoder = exported_copy(pipeline.style_encoder, dtype)
    size = encoder.config.image_size
    colors = torch.rand(2, encoder.config.image_channels, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.interpolate(colors, (size, size), mode="bilinear")
    latents, logvar = open_session(model).run(None, {"pictures": images.numpy()})
    with torch.no_grad():
        expected = encoder(images, return_dict=False)
    pairs = zip((latents, logvar), expected, strict=True)
    return max(np.abs(found - one.numpy()).max().item() for found, one in pairs)


def outline_model_difference(model: ModelProto, pipeline: SPADEPipeline, *, dtype: Dtype) -> float:
    """Return the largest difference between the file's expected one-hot maps, in [-1, 1], and the library's.

    Maps are of two sizes, one of which has to be padded; a part of them is not painted, and noise is at all levels.
    """
    session, network = open_session(model), exported_copy(pipeline.outline_model, dtype)
    config = network.config
    rng = torch.Generator().manual_seed(0)
    differences = []
    for label_map in random_label_maps(config.num_labels + 1, [(64, 64), (72, 104)], batch_size=3):
        noise = torch.randn(len(label_map), config.num_labels, *label_map.shape[1:], generator=rng)
        log_snr = torch.linspace(config.min_log_snr, config.max_log_snr, len(label_map))
        noisy_map = add_noise(label_map, noise, log_snr)
        inputs = {"noisy_map": noisy_map, "label_map": label_map, "log_snr": log_snr}
        (found,) = session.run(None, {name: one.numpy() for name, one in inputs.items()})
        with torch.no_grad():
            logits = network(noisy_map, label_map, log_snr).logits
        expected, found = (2 * one.softmax(dim=1) - 1 for one in (logits, torch.from_numpy(found)))
        differences.append((found - expected).abs().max().item())
    return max(differences)


def segmenter_difference(model: ModelProto, pipeline: SPADEPipeline, *, dtype: Dtype) -> float:
    """Return the largest difference between the file's probabilities and the library's, on smooth random images."""
    session, network = open_session(model), exported_copy(pipeline.segmenter, dtype)
    rng = torch.Generator().manual_seed(0)
    differences = []
    for size in ((64, 64), (160, 224)):
        colors = torch.rand(2, 3, 8, 8, generator=rng) * 2 - 1
        images = torch.nn.functional.interpolate(colors, size, mode="bilinear")
        (found,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            expected = network(images).logits.softmax(dim=1)
        differences.append(np.abs(found - expected.numpy()).max().item())
    return max(differences)


def random_label_maps(num_channels: int, sizes: Iterable[tuple[int, int]], *, batch_size: int = 1) -> list[Tensor]:
    """Draw masks of square blobs, one batch per size, int64 `(N, H, W)` of channels."""
    rng = torch.Generator().manual_seed(0)
    label_maps = []
    for height, width in sizes:
        blobs = torch.randint(num_channels, (batch_size, -(-height // BLOB), -(-width // BLOB)), generator=rng)
        label_maps.append(blobs.repeat_interleave(BLOB, 1).repeat_interleave(BLOB, 2)[:, :height, :width])
    return label_maps


def open_session(model: ModelProto) -> onnxruntime.InferenceSession:
    """Load a model into onnxruntime on the CPU."""
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
