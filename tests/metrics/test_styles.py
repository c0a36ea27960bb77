import pytest
import torch

from spade_hf.metrics import channel_statistics, choose_partners, color_statistics, style_agreement
from spade_hf.metrics.distribution import BLOCK


def random_images(count=5, seed=0):
    """Each of a color and a contrast of its own."""
    rng = torch.Generator().manual_seed(seed)
    base = torch.rand(count, 3, 1, 1, generator=rng) * 150 + 50
    return (base + torch.rand(count, 1, 1, 1, generator=rng) * 40 * torch.randn(count, 3, 9, 7, generator=rng)).byte()


def test_statistics_of_colors():
    image = random_images(1)
    values = image[0].double().flatten(1)
    expected = [*values.mean(dim=1).tolist(), *values.var(dim=1, unbiased=False).sqrt().tolist()]
    assert color_statistics(image)[0].tolist() == pytest.approx(expected)


def test_statistics_of_channels_are_those_of_every_level():
    levels = [torch.randn(2, 4, 5, 5), torch.randn(2, 3, 2, 2)]
    found = channel_statistics(levels)
    assert found.shape == (2, 2 * (4 + 3)) and found.dtype == torch.float64
    assert found[1, 4 + 2].item() == pytest.approx(levels[0][1, 2].double().std(correction=0).item())
    assert found[1, 8 + 1].item() == pytest.approx(levels[1][1, 1].double().mean().item())


def test_the_style_images_themselves_agree_and_others_are_at_chance():
    styles = color_statistics(random_images(60))
    assert style_agreement(styles, styles) == 1
    chance = style_agreement(styles.roll(1, dims=0), styles)
    assert abs(chance) < 0.1
    half = style_agreement((styles + styles.roll(1, dims=0)) / 2, styles)
    assert chance < half < 1


def test_agreement_is_that_of_the_formula():
    ours, styles = torch.tensor([[0.0], [4.0], [8.0]]), torch.tensor([[1.0], [3.0], [8.0]])
    scale = styles.std(correction=0).item()
    own = (1 + 1 + 0) / 3 / scale
    others = (3 + 8 + 3 + 4 + 7 + 5) / 6 / scale
    assert style_agreement(ours, styles) == pytest.approx(1 - own / others)


def test_more_images_than_a_block():
    styles = torch.randn(BLOCK + 9, 4, generator=torch.Generator().manual_seed(0)).double()
    ours = styles + torch.randn(styles.shape, generator=torch.Generator().manual_seed(1))
    distances = (ours[:, None] - styles[None]).div(styles.std(dim=0, correction=0)).norm(dim=2)
    others = (distances.sum() - distances.trace()) / (len(ours) - 1)
    assert style_agreement(ours, styles) == pytest.approx(1 - (distances.trace() / others).item())
    assert style_agreement(styles, styles) == 1


def test_partners_are_of_other_scenes_and_follow_from_the_seed():
    groups = ["a", "a", "b", "b", "c", "c"]
    partners = choose_partners(groups, torch.Generator().manual_seed(0))
    assert all(groups[partner] != groups[index] for index, partner in enumerate(partners))
    assert partners == choose_partners(groups, torch.Generator().manual_seed(0))
    others = {tuple(choose_partners(groups, torch.Generator().manual_seed(seed))) for seed in range(9)}
    assert len(others) > 3
    assert sorted(choose_partners(range(7), torch.Generator().manual_seed(0))) == list(range(7))  # each once


def test_a_single_scene():
    with pytest.raises(ValueError, match="`groups` has a single scene"):
        choose_partners(["a", "a"], torch.Generator())
