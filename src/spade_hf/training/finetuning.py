"""Fine-tuning of a trained pipeline, also for other labels: classes of the same name keep their weights.

Legend: L semantic channels, I image channels, C channels of an activation, h w its height and width, Z latent.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ModelMixin
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..images.processor import SPADEImageProcessor
from ..models import SPADEGenerator
from ..models.discriminators.segmentation import class_numbers
from ..models.modeling_utils import SPADEModelMixin
from ..models.semantics import num_semantic_channels
from ..pipelines import SPADEPipeline
from .adversaries import DISCRIMINATORS


logger = logging.getLogger(__name__)
UNKNOWN, EDGES = object(), object()  # channels that are not classes, and have no names to compare
POWER_ITERATIONS = 30  # to estimate a norm from a random start; a layer's call in training does only one
GENERATOR_OPTIONS = (
    "base_channels channel_mult latent_dim mask_norm spade_hidden_channels spade_kernel_size norm_type "
    "num_upsampling_layers head_upsampling"
).split()
SEMANTIC_OPTIONS = "num_labels use_unknown_label use_instance_edges condition_channels".split()
STYLE_ENCODER_OPTIONS = "image_size base_channels channel_mult".split()


@dataclass(frozen=True)
class Pretrained:
    """Trained networks with spectral norm fused.

    Args:
        networks (`Mapping[str, ModelMixin]`): `generator`; optionally `style_encoder` and `discriminator`.
        processor (`SPADEImageProcessor`): Holds their label set.
    """

    networks: Mapping[str, ModelMixin]
    processor: SPADEImageProcessor

    @classmethod
    def load(cls, pretrained_model_name_or_path: str, discriminator_name_or_path: str | None = None) -> "Pretrained":
        """Read a pipeline, and the discriminator of a checkpoint.

        Args:
            pretrained_model_name_or_path (`str`): A pipeline's folder or Hub id; `spade-hf convert` makes one from
                public weights.
            discriminator_name_or_path (`str`, *optional*): A discriminator's folder or Hub id, or the folder of a
                checkpoint that contains one; for the same labels.

        Raises:
            ValueError: If they cannot be read, or if the discriminator is for other labels.
        """
        try:
            pipeline = SPADEPipeline.from_pretrained(pretrained_model_name_or_path)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"`pretrained_model_name_or_path` {pretrained_model_name_or_path!r} cannot be loaded: {error}"
            ) from error
        networks = {"generator": pipeline.generator, "style_encoder": pipeline.style_encoder}
        if discriminator_name_or_path is not None:
            networks["discriminator"] = _load_discriminator(discriminator_name_or_path, pipeline)
        networks = {name: network for name, network in networks.items() if network is not None}
        for network in networks.values():
            network.fuse_spectral_norm()
        return cls(networks, pipeline.image_processor)

    def options(self, *, head_upsampling: int = 1) -> dict[str, Any]:
        """Return the options of training that build networks of the same widths.

        Args:
            head_upsampling (`int`, defaults to 1): That of the new generator if it is above the trained one's: the
                only change that keeps all blocks.
        """
        kind = type(self.networks["generator"])
        if kind is not SPADEGenerator:
            raise ValueError(
                f"`pretrained_model_name_or_path` holds a {kind.__name__}; training continues only from a "
                "SPADEGenerator. Train a baseline from scratch."
            )
        generator = self.networks["generator"].config
        values = {name: generator[name] for name in GENERATOR_OPTIONS} | {"latent_dim": generator.latent_dim or 0}
        values["head_upsampling"] = max(generator.head_upsampling, head_upsampling)
        if encoder := self.networks.get("style_encoder"):
            values |= {f"style_encoder_{name}": encoder.config[name] for name in STYLE_ENCODER_OPTIONS}
        if discriminator := self.networks.get("discriminator"):
            kinds: dict[type, str] = {kind.network: name for name, kind in DISCRIMINATORS.items()}
            values["discriminator"] = kinds[type(discriminator)]
            values["discriminator_base_channels"] = discriminator.config.base_channels
            values["discriminator_backbone"] = discriminator.config.get("backbone") or "none"
        return values

    def initialize(self, networks: Mapping[str, ModelMixin], processor: SPADEImageProcessor) -> None:
        """Copy the trained weights into new networks, in place; weights of new labels keep their initialization.

        Args:
            networks (`Mapping[str, ModelMixin]`): Built with `options()`, with or without spectral norm, for any
                labels and image size.
            processor (`SPADEImageProcessor`): Holds their label set.

        Raises:
            ValueError: If a network has other widths than the trained one of the same name, or images of other
                channels or values.
        """
        for name, ours in self.processor.image_options().items():
            theirs = processor.image_options()[name]
            if name != "display_channels" and ours != theirs:
                raise ValueError(
                    f"`{name}` is {theirs}, but the pretrained model has {ours}. Give the same, or train from scratch."
                )
        old, new = self.processor.condition_options(), processor.condition_options()
        for name, ours in old.items():  # a condition can be added, like a new label
            if ours != new[name] and old["condition_channels"] > 0:
                raise ValueError(
                    f"`{name}` is {new[name]}, but the pretrained model has {ours}. Give the same, or train from "
                    "scratch."
                )
        pairs = match_channels(self.processor, processor)
        names, added = _names_of(processor), self._new_labels(processor)
        logger.info(
            "%d of %d labels keep their weights; new: %s", len(names) - len(added), len(names), ", ".join(added) or "-"
        )
        has_labels = self.processor.has_labels and processor.has_labels
        classes = _match_classes(self.processor, processor, pairs) if has_labels else []
        for name, source in self.networks.items():
            if name in networks:
                _transfer(source, networks[name], pairs, classes)

    def train_last_blocks(
        self, networks: Mapping[str, ModelMixin], processor: SPADEImageProcessor, number: int
    ) -> None:
        """Freeze all of a generator but its last blocks and its head, and its style encoder, in place.

        Layout and light are made in the first blocks, at a few positions; the last ones draw textures.

        Args:
            networks (`Mapping[str, ModelMixin]`): `generator`; optionally `style_encoder`; with these weights.
            processor (`SPADEImageProcessor`): Holds their label set.
            number (`int`): How many blocks are trained.

        Raises:
            ValueError: If the generator has fewer blocks, or frozen weights would be untrained ones.
        """
        generator: Any = networks["generator"]
        count = len(generator.blocks)
        if not 0 <= number <= count:
            raise ValueError(f"`train_last_blocks` is {number}; the generator has {count} blocks.")
        new = [f"the label {name}" for name in self._new_labels(processor)]
        new += ["the condition"] * (processor.config.condition_channels > self.processor.config.condition_channels)
        if new and number < count:
            raise ValueError(
                f"`train_last_blocks` is {number}, but the pretrained model does not know {', '.join(new)}: the first "
                "blocks would never learn it. Leave `train_last_blocks` out."
            )
        if "style_encoder" in networks and "style_encoder" not in self.networks:
            raise ValueError(
                "`train_last_blocks` leaves the style encoder as it is, but the pretrained model has none. Give "
                "--no-use_style_encoder, or leave `train_last_blocks` out."
            )
        for network in networks.values():
            network.requires_grad_(False)
        for part in (*generator.blocks[count - number :], generator.conv_out):
            part.requires_grad_(True)

    def _new_labels(self, processor: SPADEImageProcessor) -> list[str]:
        """Return the names of a processor's labels that the pretrained model does not know."""
        kept = {new for new, _ in match_channels(self.processor, processor)}
        return [name for channel, name in enumerate(_names_of(processor)) if channel not in kept]


def _names_of(processor: SPADEImageProcessor) -> Sequence[str]:
    return [] if processor.label_set_or_none is None else processor.label_set.names


def match_channels(old: SPADEImageProcessor, new: SPADEImageProcessor) -> list[tuple[int, int]]:
    """Pair (new, old) semantic channels: classes of the same name (ignoring case), unknown, and edges."""
    old_channels = {key: channel for channel, key in enumerate(_channel_keys(old))}
    return [(channel, old_channels[key]) for channel, key in enumerate(_channel_keys(new)) if key in old_channels]


def _channel_keys(processor: SPADEImageProcessor) -> list[Any]:
    if not processor.has_labels:
        return []
    labels = processor.label_set
    keys = [UNKNOWN if label.id == labels.unknown_id else label.name.strip().casefold() for label in labels.labels]
    return keys + [EDGES] * processor.config.use_instance_edges


def _match_classes(
    old: SPADEImageProcessor, new: SPADEImageProcessor, pairs: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Convert pairs of semantic channels to pairs of class numbers; unknown and edges have none."""
    new_classes, old_classes = (
        class_numbers(
            torch.arange(labels.num_channels), num_labels=labels.num_labels, unknown_channel=labels.unknown_channel
        ).tolist()
        for labels in (new.label_set, old.label_set)
    )
    return [
        (new_classes[channel], old_classes[old_channel])
        for channel, old_channel in pairs
        if channel < len(new_classes) and channel != new.label_set.unknown_channel
    ]


def _load_discriminator(discriminator_name_or_path: str, pipeline: SPADEPipeline) -> SPADEModelMixin:
    subfolder = "discriminator" if Path(discriminator_name_or_path, "discriminator").is_dir() else None
    try:
        config: Any = SPADEModelMixin.load_config(discriminator_name_or_path, subfolder=subfolder)
        kinds = {kind.network.__name__: kind.network for kind in DISCRIMINATORS.values()}
        if (name := config.get("_class_name")) not in kinds:
            raise ValueError(f"it holds a {name}; a discriminator is one of {', '.join(kinds)}.")
        discriminator = kinds[name].from_pretrained(discriminator_name_or_path, subfolder=subfolder)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`discriminator_name_or_path` {discriminator_name_or_path!r} cannot be loaded: {error}"
        ) from error
    for option in SEMANTIC_OPTIONS:
        expected, found = (one.config.get(option, 0) for one in (pipeline.generator, discriminator))
        if found != expected:
            raise ValueError(
                f"`discriminator_name_or_path` {discriminator_name_or_path!r} has {option}={found}, but the "
                f"pretrained model has {expected}. Give the discriminator that was trained with it, or leave it out."
            )
    return discriminator


@torch.no_grad()
def _transfer(
    source: ModelMixin, target: ModelMixin, pairs: list[tuple[int, int]], classes: list[tuple[int, int]]
) -> None:
    """Copy the weights of a network into a new one, in place, by (new, old) semantic channels and class numbers."""
    layers = dict(target.named_modules())
    mask_weights, label_outputs = (_named_by(source, names) for names in ("mask_weights", "label_outputs"))
    for key, value in source.state_dict().items():
        path, _, attribute = key.rpartition(".")
        current = getattr(layers.get(path), attribute, None)
        if current is None:
            raise ValueError(f"{type(target).__name__} has no {key}, which the pretrained one has.")
        if key in mask_weights:
            semantics = {name: source.config.get(name, 0) for name in SEMANTIC_OPTIONS}
            num_others = value.shape[1] - num_semantic_channels(**semantics)  # I: image channels, at the end
            others = [(-n, -n) for n in range(1, num_others + 1)]
            # the condition's channels are the last of the semantic ones; a new condition's stay as they are
            num_planes = source.config.get("condition_channels", 0)
            others += [(-n, -n) for n in range(num_others + 1, num_others + num_planes + 1)]
            value = _for_other_labels(value, current, pairs + others, dim=1)
        elif key in label_outputs:
            value = _for_other_labels(value, current, [*classes, (-1, -1)], dim=0)  # the last is fake's
        elif path == "linear_in":
            value = _for_other_start(value, source.start_size, target.start_size)
        elif path == "conv_out" and isinstance(source, SPADEGenerator):
            value = _for_finer_head(value, source.config.head_upsampling, target.config.head_upsampling)
        if value.shape != current.shape:
            raise ValueError(
                f"{key} of the pretrained {type(target).__name__} is {tuple(value.shape)}, but this run's "
                f"is {tuple(current.shape)}. Build it with the options of the pretrained one."
            )
        if parametrize.is_parametrized(layers[path], attribute):
            # Sets the unnormalized weight. Contiguous, as training's spectral norm is slower on channels-last weights.
            setattr(layers[path], attribute, value.clone(memory_format=torch.contiguous_format).to(current))
        else:
            current.copy_(value)
    _settle_spectral_norm(target)


def _named_by(network: nn.Module, attribute: str) -> set[str]:
    """Collect the keys of weights that modules list in an attribute.

    Weights in `mask_weights` have semantic input channels. Weights in `label_outputs` have one row per label, then one
    for fake.
    """
    return {
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        for name in getattr(module, attribute, ())
    }


def _for_other_labels(value: Tensor, fresh: Tensor, pairs: list[tuple[int, int]], *, dim: int) -> Tensor:
    """Convert the channels of a weight from the old labels to the new; channels of new labels are those of `fresh`.

    Args:
        value, fresh (`Tensor`): `(C, L + I, k, k)` with `dim=1`, or `(L + 1, ...)` with `dim=0`.
        pairs (`list[tuple[int, int]]`): (new, old) channels.
        dim (`int`): The dimension of the channels.
    """
    old, new = value.to(fresh).transpose(0, dim), fresh.clone().transpose(0, dim)  # channels first
    if old.shape[1:] != new.shape[1:]:
        return value  # other widths: the caller raises the error
    for new_channel, old_channel in pairs:
        new[new_channel] = old[old_channel]
    return new.transpose(0, dim)


def _for_other_start(value: Tensor, old_size: tuple[int, int], new_size: tuple[int, int]) -> Tensor:
    """Resize the first layer's weight `(C h w, Z)` or bias `(C h w)` to an activation of another size.

    The generator resizes this activation for other image sizes. A linear layer followed by resizing is linear.
    """
    # Each latent dimension's share of the activation is an image: (C h w, Z) -> (Z, C, h, w); of the bias, one
    columns = value.reshape(-1, *old_size, value[0].numel()).movedim(-1, 0)
    if old_size != new_size:
        columns = F.interpolate(columns, new_size, mode="bilinear", align_corners=False)
    return columns.movedim(0, -1).reshape(-1, *value.shape[1:])


def _for_finer_head(value: Tensor, old_upsampling: int, new_upsampling: int) -> Tensor:
    """Repeat the weight or bias of a head for the pixels that a finer one interleaves.

    The finer head then makes the same images, enlarged by nearest neighbor.
    """
    times = new_upsampling**2 // old_upsampling**2
    return value.repeat_interleave(times, dim=0) if times > 1 else value


def _settle_spectral_norm(network: nn.Module) -> None:
    """Estimate the spectral norms of weights that have been replaced: the vectors are still those of the old ones."""
    was_training = network.training
    network.train()
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            for _ in range(POWER_ITERATIONS):
                layer.weight  # noqa: B018 (in training mode, reading it is a power iteration)
    network.train(was_training)
