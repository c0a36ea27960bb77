"""Seeds of samples: random numbers depend only on where they are used, never on what ran before."""

import hashlib
from collections.abc import Iterable
from enum import IntEnum

import torch
from torch import Tensor


class Stream(IntEnum):
    """Independent random numbers of one sample, each for one use in training; part of every seed, so never changed."""

    GENERATOR_PHASE = 1  # latents of the fakes that the generator learns from
    DISCRIMINATOR_PHASE = 2  # latents of the fakes that the discriminator learns from
    STYLE_CHOICE = 3  # whether the sample gets a random style
    AUGMENTATION = 4  # changes of the discriminator's inputs; followed by the phase
    LABEL_MIX = 5  # which labels are real in a mixed image
    OUTLINES = 6  # noise and noise level of a label map
    CROP = 7  # where the losses look; followed by the phase


def derive_seed(*parts: int) -> int:
    """Derive a seed in `0..2**32 - 1` from integers such as (run's seed, epoch, index), the same on every machine.

    A `torch.Generator` on the CPU reads only the low 32 bits of its seed, so that parts packed side by side into 64
    bits would be lost. A hash (BLAKE2b of the decimal numbers) mixes all parts into these bits.
    """
    text = " ".join(str(int(part)) for part in parts)  # int: in Python 3.10, the text of a `Stream` is its name
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def generators(seeds: Tensor | Iterable[int], *stream: int) -> list[torch.Generator]:
    """Return one generator on the CPU per sample; its numbers do not depend on the sample's batch or process.

    Args:
        seeds (`Tensor` or `Iterable[int]`): Seeds of N samples, int `(N,)`, such as `batch["seed"]`.
        stream (`int`): What the numbers are for: a [`Stream`], or several numbers.
    """
    values = seeds.tolist() if isinstance(seeds, Tensor) else seeds  # waits once for the device
    return [torch.Generator().manual_seed(derive_seed(seed, *stream)) for seed in values]
