import pytest
import torch

from spade_hf.metrics import FIGURES, Figure, Figures, Judge, Measurements, Missing, score, score_styles
from spade_hf.metrics.report import format_table
from spade_hf.metrics.segmentation import Segmenter

from ..tiny_networks import tiny_segmenter
from ..training_data import LABELS
from .test_segmentation import ColorNetwork


def random_images(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), generator=torch.Generator().manual_seed(seed)).byte()


@pytest.fixture
def judge():
    torch.manual_seed(0)
    network = ColorNetwork()
    segmenter = Segmenter(network.feature_channels(), LABELS).eval()
    return Judge(network, segmenter, LABELS, tiny_segmenter(num_labels=LABELS.num_labels))


def measure(judge: Judge, values: torch.Tensor, real: torch.Tensor) -> Measurements:
    maps, real_maps = judge.features(values), judge.features(real)
    return judge.measure(values, maps, real_maps, torch.zeros(len(values), 16, 16, dtype=torch.int64))


def test_real_images_score_as_themselves(judge):
    real = measure(judge, random_images(), random_images())
    figures = score(real, real, LABELS, groups=[0, 0, 1, 1])
    assert figures.values["kid"] == pytest.approx(0, abs=1e-12)
    assert figures.values["feature_distance"] == pytest.approx(0, abs=1e-12)
    assert figures.values["sharpness"] == 1
    assert figures.values["light"] == pytest.approx(1)
    assert 0 <= figures.values["miou"] <= 1 and figures.class_ious.keys() == {"sky"}
    assert figures.values["fid"] is not None and not figures.reasons  # 4 images, 3 dimensions


def test_batches_measure_what_the_whole_does(judge):
    values, real = random_images(seed=1), random_images()
    whole = measure(judge, values, real)
    parts = Measurements.concatenate([measure(judge, values[:3], real[:3]), measure(judge, values[3:], real[3:])])
    for name in ("features", "sharpness", "colors", "channels", "distances", "agreement"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    assert parts.confusion.equal(whole.confusion)


def test_what_cannot_be_computed_is_none_with_a_reason(judge):
    judge.segmenter = judge.own_segmenter = None
    real = measure(judge, random_images(3), random_images(3))
    figures = score(real, real, LABELS, has_own_style=False)
    missing = {name for name, value in figures.values.items() if value is None}
    light = {"light", "light_red", "light_green", "light_blue"}
    assert (
        missing == figures.reasons.keys() == {"fid", "miou", "pixel_accuracy", "agreement", "feature_distance", *light}
    )
    assert figures.reasons["fid"] == "3 pictures are not more than the 3 feature dimensions"
    assert "style encoder" in figures.reasons["light"]
    one = measure(judge, random_images(1), random_images(1))
    assert score(one, one, LABELS).values["kid"] is None
    assert "`group_column`" in score(one, one, LABELS).reasons["light"]


def test_agreement_is_the_mean_of_the_models_own_segmenter(judge):
    images = random_images()
    measured = measure(judge, images, images)  # masks of sky everywhere
    seen = judge.own_segmenter.probabilities(images.float() / 127.5 - 1)[:, 0]
    assert score(measured, measured, LABELS).values["agreement"] == pytest.approx(seen.mean().item(), abs=1e-5)


def test_images_of_redrawn_masks_are_also_compared_with_the_exact_ones(judge):
    images, maps = random_images(), judge.features(random_images())
    redrawn, exact = torch.zeros(2, 4, 16, 16, dtype=torch.int64)
    exact[:, :8] = 1
    whole = judge.measure(images, maps, maps, redrawn, exact)
    parts = [judge.measure(images[one], [m[one] for m in maps], [m[one] for m in maps], redrawn[one], exact[one])
             for one in (slice(3), slice(3, 4))]  # fmt: skip
    assert Measurements.concatenate(parts).exact_confusion.equal(whole.exact_confusion)
    values, of_exact = (
        score(one, one, LABELS, is_redrawn=True).values for one in (whole, judge.measure(images, maps, maps, exact))
    )
    assert values["miou_exact"] == of_exact["miou"] != values["miou"]
    assert "miou_exact" not in score(whole, whole, LABELS).values
    judge.segmenter = None
    unread = judge.measure(images, maps, maps, redrawn, exact)
    assert score(unread, unread, LABELS, is_redrawn=True).reasons["miou_exact"] == "no segmenter"


def test_styles_and_diversity(judge):
    """Images that are their style images agree wholly, whatever order those were taken in."""
    real, varied = (measure(judge, random_images(seed=seed), random_images()) for seed in (0, 1))
    partners, figures = [1, 2, 3, 0], Figures()
    styled = measure(judge, random_images()[partners], random_images())
    score_styles(figures, styled=styled, styles=real.take(partners), varied=varied, reasons={})
    assert figures.values["style"] == figures.values["style_features"] == 1
    assert figures.values["diversity"] == varied.distances.mean().item() > 0 and not figures.reasons

    figures, reasons = Figures(), {"style": "no encoder", "diversity": "no latent"}
    score_styles(figures, styled=None, styles=None, varied=None, reasons=reasons)
    assert set(figures.values.values()) == {None}
    assert figures.reasons == {"style": "no encoder", "style_features": "no encoder", "diversity": "no latent"}


def test_report_has_a_new_line_of_the_table(judge, monkeypatch):
    def brightness(sets):
        if len(sets.measured.colors) < 2:
            raise Missing("it needs two images")
        return sets.measured.colors[:, :3].mean().item()

    monkeypatch.setitem(FIGURES, "brightness", Figure(brightness))
    for count, cell in ((2, "| brightness | 127.5 |"), (1, "| brightness | - |")):
        values = torch.full((count, 3, 16, 16), 127, dtype=torch.uint8)
        values[..., ::2] = 128
        measured = measure(judge, values, values)
        figures = score(measured, measured, LABELS)
        assert list(figures.values) == [name for name, figure in FIGURES.items() if not figure.needs]
        assert cell in format_table({"exact": figures, "real": figures})
    assert figures.reasons["brightness"] == "it needs two images"
