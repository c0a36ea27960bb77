"""Sampling of natural label maps from painted ones, with [`SPADEOutlineModel`].

DDIM (Song et al. 2021, https://arxiv.org/abs/2010.02502) with the expected one-hot map as prediction, started from the
painted map with noise (SDEdit, Meng et al. 2022, https://arxiv.org/abs/2108.01073).

Legend: N maps, L labels, H W height and width, S steps.
"""

import torch
from torch import Tensor

from ..models.outlines import SPADEOutlineModel, signal_and_noise, signed_one_hot


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
    first = torch.where(has_holes, lowest, start).to(noise)  # (N,)
    shares = torch.linspace(0, 1, num_inference_steps + 1).to(noise)
    levels = first + (highest - first) * shares[:, None]  # (S + 1, N), rising log signal-to-noise ratios

    # Labels that may appear, (N, L, 1, 1)
    allowed = (painted.amax(dim=(2, 3), keepdim=True) > 0) | has_holes[:, None, None, None]

    alpha, sigma = (part[:, None, None, None] for part in signal_and_noise(levels[0]))
    x = alpha * painted.where(is_painted[:, None], 0) + sigma * noise
    logits = noise
    for level, following in zip(levels[:-1], levels[1:], strict=True):
        logits = model(x, label_maps, level).logits.masked_fill(~allowed, -torch.inf)
        expected = 2 * logits.softmax(dim=1) - 1  # (N, L, H, W), the expected one-hot
        is_held = is_painted & (level < start)[:, None, None]
        expected = torch.where(is_held[:, None], painted, expected)
        # the noise that x holds if the map is as expected, at the following level
        alpha, sigma = (part[:, None, None, None] for part in signal_and_noise(level))
        next_alpha, next_sigma = (part[:, None, None, None] for part in signal_and_noise(following))
        x = next_alpha * expected + next_sigma * (x - alpha * expected) / sigma
    natural = logits.argmax(dim=1)  # (N, H, W)
    return torch.where(is_painted, label_maps, natural) if strength == 0 else natural
