"""Seeds of samples: random numbers depend only on where they are used, never on what ran before."""

import hashlib


def derive_seed(*parts: int) -> int:
    """Derive a seed in `0..2**32 - 1` from integers such as (run's seed, epoch, index), the same on every machine.

    A `torch.Generator` on the CPU reads only the low 32 bits of its seed, so that parts packed side by side into 64
    bits would be lost. A hash (BLAKE2b of the decimal numbers) mixes all parts into these bits.
    """
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
