"""Sampling of natural label maps from painted ones, with [`SPADEOutlineModel`].

DDIM (Song et al. 2021, https://arxiv.org/abs/2010.02502) with the expected one-hot map as prediction, started from the
painted map with noise (SDEdit, Meng et al. 2022, https://arxiv.org/abs/2108.01073).

Legend: N maps, L labels, H W height and width, S steps.
"""

from typing import Any, SupportsFloat

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ..images.processor import SPADEImageProcessor
from ..labels.label_set import LabelSet
from ..models.outlines import SPADEOutlineModel, signal_and_noise, signed_one_hot
from .arguments import check_network_labels
from .parts import keep_parts


def check_strength(name: str, strength: Any) -> None:
    """Raise a ValueError unless the argument `name` is a number in 0..1; NaN is not."""
    if not isinstance(strength, SupportsFloat) or isinstance(strength, bool) or not 0 <= float(strength) <= 1:
        raise ValueError(
            f"`{name}` is {strength!r}; it must be a number in 0..1: 0 keeps what is painted, 1 follows it loosely."
        )


def check_outline_model(model: SPADEOutlineModel | None, labels: LabelSet) -> None:
    """Raise a ValueError unless there is an outline model, with the labels of a label set."""
    if model is None:
        raise ValueError(
            "This model has no `outline_model`, so it cannot change outlines or fill what is not painted. Add one, as "
            "docs/outlines.md shows, or paint the mask as it is."
        )
    check_outline_labels(model, labels)


def check_nothing_beside(processor: SPADEImageProcessor, strength: float) -> None:
    """Raise a ValueError if a model reads more than masks: it would no longer fit other outlines."""
    if processor.config.use_instance_edges or processor.config.condition_channels:
        what = "instance edges" if processor.config.use_instance_edges else "a condition"
        raise ValueError(
            f"`outline_strength` is {strength}, but this model has {what}, which would no longer fit the outlines. "
            "Leave it out."
        )


def check_outline_labels(model: SPADEOutlineModel, labels: LabelSet) -> None:
    """Raise a ValueError if an outline model knows other labels than a label set."""
    check_network_labels(model, labels, name="outline_model")


def read_painted(
    processor: SPADEImageProcessor, mask: Any, color_tolerance: float | None
) -> tuple[SPADEImageProcessor, list[Tensor]]:
    """Read masks that can have pixels that are not painted: the unknown id, or 255 without one, or transparent.

    Returns:
        `tuple`: The processor that reads them, and N maps of its channels, int64 `(H, W)`, at their own sizes.

    Raises:
        ValueError: As in `SPADEImageProcessor.preprocess_mask`, and for a soft mask.
    """
    if _is_soft(mask):
        raise ValueError("`mask` is soft (float), which has no outlines to refine; give a hard one (ids, colors).")
    reader = SPADEImageProcessor(label_set=processor.label_set.with_unknown())
    return reader, reader.read(mask, color_tolerance=color_tolerance)[0]


def _is_soft(mask: Any) -> bool:
    if isinstance(mask, list | tuple):
        return any(map(_is_soft, mask))
    return "float" in str(getattr(mask, "dtype", ""))


def draw_natural_maps(
    model: SPADEOutlineModel,
    label_maps: Tensor,
    *,
    strength: float,
    num_inference_steps: int,
    generator: torch.Generator | list[torch.Generator] | None,
    reduction: int = 1,
) -> Tensor:
    """Draw a natural map of each painted one, on the model's device, one by one: each seed gives its map in any batch.

    Args:
        model (`SPADEOutlineModel`): The network.
        label_maps (`Tensor`): int64 `(N, H, W)` in 0..L; L is "not painted".
        strength, num_inference_steps: See [`refine_label_maps`].
        generator (`torch.Generator` or a list of N, *optional*): Source of the noise.
        reduction (`int`, defaults to 1): A divisor of H and W. The maps are drawn at `(H / reduction, W / reduction)`,
            from the pixels that a generator with this `head_upsampling` reads, and enlarged by nearest neighbor.

    Returns:
        `Tensor`: int64 `(N, H, W)` in 0..L - 1.
    """
    label_maps, natural = label_maps.to(model.device), []
    for number, one in enumerate(label_maps[:, None, ::reduction, ::reduction]):  # (1, H / reduction, W / reduction)
        # drawn in float32, so that a seed means the same outlines in every type of weights
        noise = randn_tensor(
            (1, model.config.num_labels, *one.shape[1:]),
            generator=generator[number] if isinstance(generator, list) else generator,
            device=model.device,
            dtype=torch.float32,
        )
        natural.append(
            refine_label_maps(
                model, one, noise.to(model.dtype), strength=strength, num_inference_steps=num_inference_steps
            )
        )
    if reduction == 1:
        return torch.cat(natural)
    enlarged = torch.cat(natural).repeat_interleave(reduction, dim=1).repeat_interleave(reduction, dim=2)  # (N, H, W)
    if strength == 0:  # only what is not painted is drawn
        return torch.where(label_maps < model.config.num_labels, label_maps, enlarged)
    return enlarged


@torch.no_grad()
def refine_label_maps(
    model: SPADEOutlineModel, label_maps: Tensor, noise: Tensor, *, strength: float, num_inference_steps: int
) -> Tensor:
    """Draw natural label maps.

    Painted pixels are held up to the noise level at which the map starts, and free from there on; so a strength of 0
    holds them to the end. Pixels that are not painted start from nothing but noise. Without such pixels, no label
    appears that the painted map does not have.

    Args:
        model (`SPADEOutlineModel`): The network.
        label_maps (`Tensor`): int64 `(N, H, W)` in 0..L; L is "not painted".
        noise (`Tensor`): `(N, L, H, W)`, standard normal.
        strength (`float`): How loosely painted pixels are followed, in 0..1.
        num_inference_steps (`int`): S, evaluations of the network.

    Returns:
        `Tensor`: int64 `(N, H, W)` in 0..L - 1.
    """
    num_labels = model.config.num_labels
    is_painted = label_maps < num_labels  # (N, H, W)
    has_holes = ~is_painted.flatten(1).all(dim=1)  # (N,)
    if strength == 0 and not has_holes.any():
        return label_maps.clone()
    painted = signed_one_hot(label_maps, num_labels, noise.dtype)  # (N, L, H, W), -1 in all channels of a hole

    # Noise levels: from the strength's, or from the noisiest where something has to be made of nothing
    lowest, highest = model.config.min_log_snr, model.config.max_log_snr
    start = highest + (lowest - highest) * strength
    # in float32: in half precision, a level would miss the strength's by rounding
    first = torch.where(has_holes, lowest, start).float()  # (N,)
    # evenly spaced, the last half a step before the end: a whole step leaves noise at outlines that should be straight
    shares = torch.arange(num_inference_steps, device=first.device) / (num_inference_steps - 0.5)
    levels = first + (highest - first) * shares[:, None]  # (S, N), rising log signal-to-noise ratios

    # Labels that may appear, (N, L, 1, 1)
    allowed = (painted.amax(dim=(2, 3), keepdim=True) > 0) | has_holes[:, None, None, None]

    alpha, sigma = _scales(levels[0], noise.dtype)
    x = alpha * painted.where(is_painted[:, None], 0) + sigma * noise
    logits = model(x, label_maps, levels[0]).logits.masked_fill(~allowed, -torch.inf)
    for level, following in zip(levels[:-1], levels[1:], strict=True):
        expected = 2 * logits.softmax(dim=1) - 1  # (N, L, H, W), the expected one-hot
        is_held = is_painted & (level < start)[:, None, None]
        expected = torch.where(is_held[:, None], painted, expected)
        # the noise that x holds if the map is as expected, at the following level
        alpha, sigma = _scales(level, noise.dtype)
        next_alpha, next_sigma = _scales(following, noise.dtype)
        x = next_alpha * expected + next_sigma * (x - alpha * expected) / sigma
        logits = model(x, label_maps, following).logits.masked_fill(~allowed, -torch.inf)
    natural = logits.argmax(dim=1)  # (N, H, W)
    if strength == 0:
        return torch.where(is_painted, label_maps, natural)
    kept = [keep_parts(*_arrays(*one)) for one in zip(label_maps, natural, logits.float(), strict=True)]
    return torch.from_numpy(np.stack(kept)).to(natural.device)


def _scales(log_snr: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of noise levels `(N,)`, `(N, 1, 1, 1)` each."""
    alpha, sigma = (part[:, None, None, None].to(dtype) for part in signal_and_noise(log_snr))
    return alpha, sigma


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [one.cpu().numpy() for one in tensors]
