"""Checkpoints of the public implementation (`latest_net_*.pth`): plain tensors, read with `weights_only=True`."""

from pathlib import Path
from typing import Literal

from ..images.processor import SPADEImageProcessor
from ..labels.label_set import LabelSet
from ..layers import NormType
from ..models import MultiscaleDiscriminator, SPADEGenerator, SPADEStyleEncoder
from ..models.semantics import num_semantic_channels
from ..pipelines import SPADEPipeline
from .foreign_weights import network_of, read_weights
from .nvlabs_keys import (
    convert_discriminator_weights,
    convert_generator_weights,
    convert_style_encoder_weights,
    shape_of_discriminator,
)
from .presets import PRESET_OF_CHANNELS


NUM_UPSAMPLING_LAYERS = {"normal": 5, "more": 6, "most": 7}
IMAGE_CHANNELS = 3
ENCODER_FEATURES_PER_CHANNEL = 8 * 4 * 4  # its last convolution has 8 times the first one's width, at 4x4


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

    Widths, kernel size, latent and hidden width are read from the weights. `PRESETS` has the other arguments for the
    three published checkpoints: `convert_nvlabs_checkpoint(path, **PRESETS["coco"])`.

    Args:
        generator_path (`str` or `Path`): `latest_net_G.pth`.
        style_encoder_path (`str` or `Path`, *optional*): `latest_net_E.pth` of a model with an encoder.
        label_set (`LabelSet` or `str`, *optional*): The model's labels, or the name of a built-in set.
        num_labels (`int`, *optional*): Number of labels of an anonymous set, instead of `label_set`.
        use_unknown_label (`bool`, *optional*): Whether the model has an unknown channel; not needed with a label set.
        use_instance_edges (`bool`): Whether the model reads instance edges.
        image_size (`int` or `tuple[int, int]`): (height, width) that the model was trained at.
        num_upsampling_layers (`str`, *optional*): `"normal"`, `"more"` or `"most"`. Required for weights without
            latent, which look the same for the first two; for weights with a latent, `None` means `"normal"`.
        norm_type (`str`, defaults to `"sync_batch"`): `"sync_batch"`, `"batch"` or `"instance"`.

    Raises:
        ValueError: If a file cannot be read, or its weights do not fit the other arguments.
    """
    # What the caller says: the labels, and the variant, which weights without a latent do not show.
    labels = _label_set(label_set, num_labels, use_unknown_label)
    if num_upsampling_layers not in (None, *NUM_UPSAMPLING_LAYERS):
        raise ValueError(
            f"`num_upsampling_layers` is {num_upsampling_layers!r}; allowed are {', '.join(NUM_UPSAMPLING_LAYERS)}."
        )
    # What the weights say: semantic channels, latent and widths.
    weights = read_weights(
        generator_path,
        required={"conv_img.weight": (4,), "fc.weight": (2, 4), "head_0.norm_0.mlp_shared.0.weight": (4,)},
    )
    shared = weights["head_0.norm_0.mlp_shared.0.weight"]  # (D, L, k, k)
    first_conv = weights["fc.weight"]  # (C h w, Z) of a linear layer, or (C, L, 3, 3) of a convolution over the mask
    _check_semantic_channels(shared.shape[1], labels, use_instance_edges, generator_path)
    has_latent = first_conv.ndim == 2
    if num_upsampling_layers is None and not has_latent:
        raise ValueError(
            f"`num_upsampling_layers` is missing: {generator_path} has no latent, and weights without latent look the "
            "same for 'normal' and 'more', but the images differ. Pass the value that the model was trained with: "
            "'normal' for the public COCO-Stuff and ADE20K models, 'more' for Cityscapes."
        )
    num_upsampling_layers = num_upsampling_layers or "normal"
    if style_encoder_path is not None and not has_latent:
        raise ValueError(
            f"{generator_path} has no latent, so it has no style encoder; leave `style_encoder_path` out."
        )
    config = {
        "num_labels": labels.num_labels,
        "use_unknown_label": labels.use_unknown_label,
        "use_instance_edges": use_instance_edges,
        "image_size": image_size if isinstance(image_size, int) else (image_size[0], image_size[1]),
        "base_channels": weights["conv_img.weight"].shape[1] * (2 if num_upsampling_layers == "most" else 1),
        "latent_dim": first_conv.shape[1] if has_latent else None,
        "spade_hidden_channels": shared.shape[0],
        "spade_kernel_size": shared.shape[-1],
        "norm_type": norm_type,
        "use_spectral_norm": "head_0.conv_0.weight_orig" in weights,
        "num_upsampling_layers": NUM_UPSAMPLING_LAYERS[num_upsampling_layers],
    }
    # The networks, with spectral norm fused.
    generator = network_of(SPADEGenerator, config, convert_generator_weights, weights, generator_path)
    style_encoder = None
    if style_encoder_path is not None:
        weights = read_weights(style_encoder_path, required={"fc_mu.weight": (2,), "fc_var.weight": (2,)})
        config = {
            "base_channels": weights["fc_mu.weight"].shape[1] // ENCODER_FEATURES_PER_CHANNEL,
            "latent_dim": weights["fc_mu.weight"].shape[0],
            "use_spectral_norm": "layer1.0.weight_orig" in weights,
        }
        style_encoder = network_of(
            SPADEStyleEncoder, config, convert_style_encoder_weights, weights, style_encoder_path
        )
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
    """Load a public discriminator, spectral norm fused, to continue training from public weights.

    Args:
        path (`str` or `Path`): `latest_net_D.pth`.
        label_set, num_labels, use_unknown_label, use_instance_edges: See [`convert_nvlabs_checkpoint`].

    Raises:
        ValueError: If the file cannot be read, or its weights do not fit the other arguments.
    """
    labels = _label_set(label_set, num_labels, use_unknown_label)
    weights = read_weights(path, required={"discriminator_0.model0.0.weight": (4,)})
    base_channels, in_channels = weights["discriminator_0.model0.0.weight"].shape[:2]
    _check_semantic_channels(in_channels - IMAGE_CHANNELS, labels, use_instance_edges, path)
    num_scales, num_layers = shape_of_discriminator(weights)
    config = {
        "num_labels": labels.num_labels,
        "use_unknown_label": labels.use_unknown_label,
        "use_instance_edges": use_instance_edges,
        "base_channels": base_channels,
        "num_layers": num_layers,
        "num_scales": num_scales,
        "use_spectral_norm": any(key.endswith("weight_orig") for key in weights),
    }
    discriminator = network_of(MultiscaleDiscriminator, config, convert_discriminator_weights, weights, path)
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
        raise ValueError("Give either `label_set` or `num_labels`: the model's labels, or their number.")
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
