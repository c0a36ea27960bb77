"""Checkpoints of the public implementation (`latest_net_*.pth`): plain tensors, read with `weights_only=True`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..images.processor import SPADEImageProcessor
from ..labels.label_set import LabelSet
from ..layers import NormType
from ..models import MultiscaleDiscriminator, SPADEGenerator, SPADEStyleEncoder
from ..models.semantics import num_semantic_channels
from ..pipelines import SPADEPipeline
from .nvlabs_keys import (
    StateDict,
    convert_discriminator_weights,
    convert_generator_weights,
    convert_style_encoder_weights,
    shape_of_discriminator,
)
from .presets import PRESET_OF_CHANNELS


NUM_UPSAMPLING_LAYERS = {"normal": 5, "more": 6, "most": 7}
IMAGE_CHANNELS = 3
ENCODER_FEATURES_PER_CHANNEL = 8 * 4 * 4  # its last convolution is 8 times as wide as the first and ends at 4x4


def convert_nvlabs_checkpoint(
    generator_path: str | Path,
    *,
    style_encoder_path: str | Path | None = None,
    label_set: LabelSet | str | None = None,
    num_labels: int | None = None,
    use_unknown_label: bool | None = None,
    use_instance_edges: bool,
    image_size: int | tuple[int, int],
    num_upsampling_layers: Literal["normal", "more", "most"] | None = None,
    norm_type: NormType = "sync_batch",
) -> SPADEPipeline:
    """Load a public SPADE checkpoint into a pipeline, spectral norm fused.

    Widths, kernel size, latent and hidden width are read from the weights. What they do not tell is in `PRESETS` for
    the three published checkpoints: `convert_nvlabs_checkpoint(path, **PRESETS["coco"])`.

    Args:
        generator_path (`str` or `Path`): `latest_net_G.pth`.
        style_encoder_path (`str` or `Path`, *optional*): `latest_net_E.pth` of a model with an encoder.
        label_set (`LabelSet` or `str`, *optional*): The model's labels, or the name of a built-in set.
        num_labels (`int`, *optional*): In place of `label_set`: a count, which makes an anonymous set.
        use_unknown_label (`bool`, *optional*): Whether the model has an unknown channel; a label set knows it itself.
        use_instance_edges (`bool`): Whether the model reads instance edges.
        image_size (`int` or `tuple[int, int]`): (height, width) that the model was trained at.
        num_upsampling_layers (`str`, *optional*): `"normal"`, `"more"` or `"most"`. Needed for weights without latent,
            which look the same at the first two; `None` is `"normal"` for weights with one.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.

    Raises:
        ValueError: If a file cannot be read, or its weights do not fit what was said about them.
    """
    labels = _label_set(label_set, num_labels, use_unknown_label)
    if num_upsampling_layers not in (None, *NUM_UPSAMPLING_LAYERS):
        raise ValueError(
            f"`num_upsampling_layers` is {num_upsampling_layers!r}; allowed are {', '.join(NUM_UPSAMPLING_LAYERS)}."
        )
    weights = _load_weights(
        generator_path,
        required={"conv_img.weight": (4,), "fc.weight": (2, 4), "head_0.norm_0.mlp_shared.0.weight": (4,)},
    )
    shared, first_conv = weights["head_0.norm_0.mlp_shared.0.weight"], weights["fc.weight"]
    _check_semantic_channels(shared.shape[1], labels, use_instance_edges, generator_path)
    has_latent = first_conv.ndim == 2
    if num_upsampling_layers is None and not has_latent:
        raise ValueError(
            f"`num_upsampling_layers` is missing: {generator_path} has no latent, and such weights look the same at "
            "normal and at more, but paint at another scale. Pass the one that the model was trained with: normal for "
            "the public COCO-Stuff and ADE20K models, more for Cityscapes."
        )
    num_upsampling_layers = num_upsampling_layers or "normal"
    if style_encoder_path is not None and not has_latent:
        raise ValueError(
            f"{generator_path} has no latent, so it has no style encoder; leave `style_encoder_path` out."
        )
    generator = SPADEGenerator(
        num_labels=labels.num_labels,
        use_unknown_label=labels.use_unknown_label,
        use_instance_edges=use_instance_edges,
        image_size=image_size if isinstance(image_size, int) else (image_size[0], image_size[1]),
        base_channels=weights["conv_img.weight"].shape[1] * (2 if num_upsampling_layers == "most" else 1),
        latent_dim=first_conv.shape[1] if has_latent else None,
        spade_hidden_channels=shared.shape[0],
        spade_kernel_size=shared.shape[-1],
        norm_type=norm_type,
        use_spectral_norm="head_0.conv_0.weight_orig" in weights,
        num_upsampling_layers=NUM_UPSAMPLING_LAYERS[num_upsampling_layers],
    )
    _load_into(generator, convert_generator_weights, weights, generator_path)
    style_encoder = None
    if style_encoder_path is not None:
        weights = _load_weights(style_encoder_path, required={"fc_mu.weight": (2,), "fc_var.weight": (2,)})
        style_encoder = SPADEStyleEncoder(
            base_channels=weights["fc_mu.weight"].shape[1] // ENCODER_FEATURES_PER_CHANNEL,
            latent_dim=weights["fc_mu.weight"].shape[0],
            use_spectral_norm="layer1.0.weight_orig" in weights,
        )
        _load_into(style_encoder, convert_style_encoder_weights, weights, style_encoder_path)
        style_encoder.eval().fuse_spectral_norm()
    generator.eval().fuse_spectral_norm()
    processor = SPADEImageProcessor(label_set=labels, use_instance_edges=use_instance_edges)
    return SPADEPipeline(generator=generator, style_encoder=style_encoder, image_processor=processor)


def convert_nvlabs_discriminator(
    path: str | Path,
    *,
    label_set: LabelSet | str | None = None,
    num_labels: int | None = None,
    use_unknown_label: bool | None = None,
    use_instance_edges: bool,
) -> MultiscaleDiscriminator:
    """Load a public discriminator, spectral norm fused, for a training that goes on from public weights.

    Args:
        path (`str` or `Path`): `latest_net_D.pth`.
        label_set, num_labels, use_unknown_label, use_instance_edges: See [`convert_nvlabs_checkpoint`].

    Raises:
        ValueError: If the file cannot be read, or its weights do not fit what was said about them.
    """
    labels = _label_set(label_set, num_labels, use_unknown_label)
    weights = _load_weights(path, required={"discriminator_0.model0.0.weight": (4,)})
    base_channels, in_channels = weights["discriminator_0.model0.0.weight"].shape[:2]
    _check_semantic_channels(in_channels - IMAGE_CHANNELS, labels, use_instance_edges, path)
    num_scales, num_layers = shape_of_discriminator(weights)
    discriminator = MultiscaleDiscriminator(
        num_labels=labels.num_labels,
        use_unknown_label=labels.use_unknown_label,
        use_instance_edges=use_instance_edges,
        base_channels=base_channels,
        num_layers=num_layers,
        num_scales=num_scales,
        use_spectral_norm=any(key.endswith("weight_orig") for key in weights),
    )
    _load_into(discriminator, convert_discriminator_weights, weights, path)
    discriminator.eval().fuse_spectral_norm()
    return discriminator


def _check_semantic_channels(found: int, labels: LabelSet, use_instance_edges: bool, path: str | Path) -> None:
    expected = num_semantic_channels(labels.num_labels, labels.use_unknown_label, use_instance_edges)
    if found != expected:
        unknown, edges = ("with" if given else "without" for given in (labels.use_unknown_label, use_instance_edges))
        raise ValueError(
            f"{path} reads {found} semantic channels, but {labels.num_labels} labels, {unknown} "
            f"`use_unknown_label` and {edges} `use_instance_edges`, make {expected}. Pass the label set and options "
            f"that the model was trained with.{_hint_at_preset(found)}"
        )


def _hint_at_preset(num_channels: int) -> str:
    name = PRESET_OF_CHANNELS.get(num_channels)
    return "" if name is None else f" The public weights of the preset {name} read {num_channels}."


def _label_set(label_set: LabelSet | str | None, num_labels: int | None, use_unknown_label: bool | None) -> LabelSet:
    if (label_set is None) == (num_labels is None):
        raise ValueError("Give either `label_set` or `num_labels`: what the model's labels are, or how many.")
    if label_set is None:
        assert num_labels is not None
        return LabelSet.anonymous(num_labels, use_unknown_label=bool(use_unknown_label))
    labels = LabelSet.from_name(label_set) if isinstance(label_set, str) else label_set
    if use_unknown_label not in (None, labels.use_unknown_label):
        raise ValueError(
            f"`use_unknown_label` is {use_unknown_label}, but label set '{labels.name}' has unknown id "
            f"{labels.unknown_id}. Leave `use_unknown_label` out, or pass a label set that fits."
        )
    return labels


def _load_weights(path: str | Path, *, required: dict[str, tuple[int, ...]]) -> StateDict:
    """Tensors of a foreign pickle, which cannot run code: `weights_only=True`. `required`: key -> allowed ranks."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; pass the path of a `latest_net_*.pth` file.") from error
    except Exception as error:  # the unpickler fails on foreign bytes in every way: KeyError, struct.error, ...
        # torch's own text is left out: it recommends `weights_only=False`
        raise ValueError(
            f"{path} cannot be read as a state dict of tensors ({type(error).__name__}): it is damaged, no file of "
            "torch's, or holds Python objects, which are not loaded because that could run code. Pass a "
            "`latest_net_*.pth` file of the public implementation."
        ) from error
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise ValueError(
            f"{path} is not a dict of named tensors; pass a `latest_net_*.pth` of the public implementation."
        )
    for key, ranks in required.items():
        if key not in weights:
            raise ValueError(f"{path} has no weight '{key}'; it is not such a network of the public implementation.")
        if weights[key].ndim not in ranks or 0 in weights[key].shape:
            raise ValueError(
                f"{path} has a weight '{key}' of shape {list(weights[key].shape)}; it is not such a network of the "
                "public implementation."
            )
    return weights


def _load_into(
    model: torch.nn.Module, convert: Callable[[StateDict], StateDict], weights: StateDict, path: str | Path
) -> None:
    try:
        converted = convert(weights)
    except KeyError as error:
        raise ValueError(
            f"{path} is not such a network of the public implementation: unknown or missing {error}."
        ) from error
    except (ValueError, RuntimeError) as error:  # a key without a dot, gamma and beta that do not fit
        raise ValueError(f"{path} is not such a network of the public implementation: {error}.") from error
    expected = model.state_dict()
    # files of torch before 0.4.1 do not count batches, and the count is not read
    missing = [key for key in expected if key not in converted and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in converted if key not in expected]
    shapes = {
        key: f"{key} is {list(converted[key].shape)} in the file and {list(value.shape)} in the network"
        for key, value in expected.items()
        if key in converted and converted[key].shape != value.shape
    }
    problems = [f"the file lacks {len(missing)} weights, the first: {missing[0]}"] if missing else []
    problems += [f"the file has {len(unexpected)} weights too many, the first: {unexpected[0]}"] if unexpected else []
    problems += list(shapes.values())[:1]
    if problems:
        raise ValueError(
            f"{path} does not fit a {type(model).__name__} with these options (`image_size`, `num_upsampling_layers`, "
            f"`norm_type`): {'; '.join(problems)}."
        )
    model.load_state_dict(converted)
