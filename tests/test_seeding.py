import torch

from spade_hf.seeding import Stream, derive_seed, generators


def test_seeds_differ_where_a_generator_looks():
    seeds = [derive_seed(run, epoch, index) for run in range(4) for epoch in range(20) for index in range(50)]
    draws = {torch.rand(1, generator=torch.Generator().manual_seed(seed)).item() for seed in seeds}
    assert max(seeds) < 2**32 and len(set(seeds)) == len(seeds)
    assert len(draws) > 0.99 * len(seeds)  # not (seed % 2**32 == index), which would give 50
    assert derive_seed(1, 23) != derive_seed(12, 3) and derive_seed(1, 2) != derive_seed(2, 1)
    assert derive_seed(0, 1, 2) == 2573739075  # on every machine and in every version


def test_the_streams_keep_their_numbers():
    """They are part of every seed: with other numbers, a resumed run would draw other latents."""
    assert {stream.name: int(stream) for stream in Stream} == {
        "GENERATOR_PHASE": 1,
        "DISCRIMINATOR_PHASE": 2,
        "STYLE_CHOICE": 3,
        "AUGMENTATION": 4,
        "LABEL_MIX": 5,
        "OUTLINES": 6,
        "CROP": 7,
    }
    assert all(derive_seed(7, stream) == derive_seed(7, int(stream)) for stream in Stream)  # also in Python 3.10


def test_a_generator_per_sample_and_stream():
    def draws(seeds, *stream):
        return [torch.rand(3, generator=rng).tolist() for rng in generators(seeds, *stream)]

    first = draws(torch.tensor([3, 5]), Stream.AUGMENTATION, 1)
    assert first == draws([3, 5], Stream.AUGMENTATION, 1)
    assert first[1:] == draws([5], Stream.AUGMENTATION, 1)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(derive_seed(3, 4, 1))).tolist()
    assert first[0] == expected
    assert first != draws([3, 5], Stream.AUGMENTATION, 2) != draws([3, 5], Stream.GENERATOR_PHASE)
