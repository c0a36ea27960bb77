import dataclasses
import json

import pytest
import sklearn.metrics
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spade_hf import SPADEImageProcessor
from spade_hf.data import PairedImageDataset, PairedTransform
from spade_hf.metrics import (
    Segmenter,
    caches,
    class_ious,
    confusion_matrix,
    load_segmenter,
    obtain_segmenter,
    pixel_accuracy,
    segmenter_settings,
    train_segmenter,
)

from ..training_data import LABELS, make_dataset, make_reader, make_rows, mask


UNKNOWN = 3  # the toy labels' channel of 255
CENTER = PairedTransform(resolution=(32, 32), resize_ratio=1.0, center_crop=True, random_flip=False)


class ColorNetwork(torch.nn.Module):
    """Three maps of the image itself, in place of a feature network."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor(gain))

    def feature_channels(self):
        return (3, 3, 3)

    def forward(self, images):
        return [torch.nn.functional.avg_pool2d(images * self.gain, stride) for stride in (2, 4, 8)]


@pytest.fixture
def dataset():
    """Images in the colors of their masks, which even a color tells apart."""
    images = [mask(index, mode="RGB") for index in range(6)]
    return make_dataset(make_rows(image=images), transform=CENTER)


def test_confusion_matrix_counts_each_pair():
    label_maps = torch.tensor([[[0, 0, 1], [2, 2, 3]]])
    predictions = torch.tensor([[[0, 1, 1], [2, 0, 0]]])
    expected = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])
    assert confusion_matrix(predictions, label_maps, 4).equal(expected)


def test_scores_of_a_small_case():
    confusion = torch.tensor([[6, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [4, 0, 1, 0]])
    # class 2 is in no mask; pixels without class (the last row) are left out, or count as wrong
    assert class_ious(confusion, unknown=UNKNOWN) == {0: pytest.approx(6 / 9), 1: pytest.approx(3 / 6)}
    assert pixel_accuracy(confusion, unknown=UNKNOWN) == pytest.approx(9 / 12)
    counted = class_ious(confusion, unknown=UNKNOWN, count_unknown=True)
    assert counted == {0: pytest.approx(6 / 13), 1: pytest.approx(3 / 6)}
    assert pixel_accuracy(confusion, unknown=UNKNOWN, count_unknown=True) == pytest.approx(9 / 17)


def test_scores_agree_with_sets_of_pixels():
    rng = torch.Generator().manual_seed(0)
    label_maps, predictions = torch.randint(0, 5, (2, 3, 8, 8), generator=rng)
    confusion = confusion_matrix(predictions, label_maps, 5)
    for channel, iou in class_ious(confusion).items():
        truth, guess = (label_maps == channel), (predictions == channel)
        assert iou == pytest.approx(((truth & guess).sum() / (truth | guess).sum()).item())
    assert pixel_accuracy(confusion) == pytest.approx((label_maps == predictions).double().mean().item())


def test_scores_agree_with_scikit_learn():
    label_maps, predictions = torch.randint(0, 5, (2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    confusion = confusion_matrix(predictions, label_maps, 5)
    pixels = label_maps.flatten().numpy(), predictions.flatten().numpy()
    assert confusion.tolist() == sklearn.metrics.confusion_matrix(*pixels).tolist()
    assert list(class_ious(confusion).values()) == pytest.approx(
        sklearn.metrics.jaccard_score(*pixels, average=None).tolist()
    )


def test_nothing_to_score():
    confusion = torch.zeros(4, 4, dtype=torch.int64)
    confusion[UNKNOWN, 0] = 5
    assert class_ious(confusion, unknown=UNKNOWN) == {}
    assert pixel_accuracy(confusion, unknown=UNKNOWN) is None


def test_a_trained_segmenter_reads_its_images(dataset):
    network = ColorNetwork()
    segmenter = train_segmenter(network, dataset, num_steps=60, seed=0)
    confusion = torch.zeros(4, 4, dtype=torch.int64)
    for index in range(len(dataset)):
        sample = dataset[index]
        predictions = segmenter.predict(sample["real_images"][None], network(sample["real_images"][None]))
        assert predictions.shape == (1, 32, 32) and (predictions != UNKNOWN).all()
        confusion += confusion_matrix(predictions, sample["label_map"][None], 4)
    assert pixel_accuracy(confusion, unknown=UNKNOWN) > 0.8
    assert not segmenter.training and not any(p.requires_grad for p in segmenter.parameters())


def test_training_is_reproducible_and_leaves_the_global_state_alone(dataset):
    before = torch.get_rng_state()
    first, second = (train_segmenter(ColorNetwork(), dataset, num_steps=3, seed=1) for _ in range(2))
    assert torch.get_rng_state().equal(before)
    other = train_segmenter(ColorNetwork(), dataset, num_steps=3, seed=2)
    for name, weight in first.state_dict().items():
        assert weight.equal(second.state_dict()[name]), name
    assert not first.classify.weight.equal(other.classify.weight)


def test_unknown_pixels_teach_nothing():
    unknown = Image.new("L", (48, 40), LABELS.unknown_id)
    dataset = make_dataset(make_rows(label=[unknown] * 6), transform=CENTER)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = Segmenter(ColorNetwork().feature_channels(), LABELS)
    segmenter = train_segmenter(ColorNetwork(), dataset, num_steps=2, seed=0)
    for name, weight in segmenter.named_parameters():  # only weight decay, by 1e-7, moves them
        torch.testing.assert_close(weight, dict(untrained.named_parameters())[name], rtol=0, atol=1e-5)
    logits = segmenter(ColorNetwork()(torch.zeros(1, 3, 32, 32)))
    assert logits.argmax(dim=1).ne(UNKNOWN).all() and logits.isfinite().all()


def test_a_data_set_without_unknown_pixels():
    known = dataclasses.replace(LABELS, labels=LABELS.labels[:3], unknown_id=None)
    reader = make_reader(transform=CENTER)
    reader.processor = SPADEImageProcessor(label_set=known)
    masks = [Image.new("L", (48, 40), label_id) for label_id in (0, 1, 4)]
    rows = make_rows(3, label=masks)
    segmenter = train_segmenter(ColorNetwork(), PairedImageDataset(rows, reader, seed=0), num_steps=1, seed=0)
    assert segmenter.unknown_channel is None and segmenter.classify.weight.isfinite().all()


def obtain(dataset, folder, *, network=None, num_steps=2, seed=0):
    network = ColorNetwork() if network is None else network
    settings = segmenter_settings(network, dataset, num_steps=num_steps, seed=seed)
    return obtain_segmenter(network, dataset, cache_dir=folder, settings=settings)


def test_the_cache_keeps_one_segmenter_for_each_data_set_and_setting(dataset, tmp_path, monkeypatch, caplog):
    trained = obtain(dataset, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(caches, "train_segmenter", None)  # calling it would fail
        cached = obtain(dataset, tmp_path)
    for name, weight in trained.state_dict().items():
        assert weight.equal(cached.state_dict()[name]), name
    caplog.set_level("INFO")
    obtain(dataset, tmp_path, seed=1)
    assert f"The segmenters in {tmp_path} are of other data or settings: training one" in caplog.text
    obtain(make_dataset(transform=CENTER), tmp_path)  # other images
    obtain(dataset, tmp_path, network=ColorNetwork(gain=2.0))
    mirrored = dataclasses.replace(CENTER, random_flip=True)
    obtain(make_dataset(dataset.rows, transform=mirrored), tmp_path)
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob("segmenter-*.safetensors"))) == 5


SKY, GRASS, ROCK, _ = LABELS.labels
EXCHANGED = (GRASS._replace(id=0), SKY._replace(id=1), ROCK)
CHANGED_LABELS = {
    "colors": (
        dataclasses.replace(LABELS, distinct_colors={0: GRASS.color, 1: SKY.color}),
        None,
        "the label 0 = 'sky' in color (0, 128, 0) was 0 = 'sky' in color (70, 130, 180)",
    ),
    "ids": (dataclasses.replace(LABELS, labels=EXCHANGED), None, "the label 0 = 'grass'"),
    "unknown": (dataclasses.replace(LABELS, unknown_id=4), None, "`unknown_id` was 255 and is 4"),
    "tolerance": (LABELS, 20.0, "`color_tolerance` was None and is 20.0"),
}


@pytest.mark.parametrize("change", CHANGED_LABELS)
def test_masks_that_mean_something_else_have_their_own_segmenter(change, dataset, tmp_path):
    label_set, color_tolerance, difference = CHANGED_LABELS[change]
    file = cached_file(dataset, tmp_path)
    reader = make_reader(transform=CENTER, color_tolerance=color_tolerance)
    reader.processor = SPADEImageProcessor(label_set=label_set)
    obtain(PairedImageDataset(dataset.rows, reader, seed=0), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(ValueError, match="is a segmenter for other masks: .*Delete it to train again") as caught:
        load_segmenter(file, ColorNetwork(), label_set, color_tolerance=color_tolerance)
    assert difference in str(caught.value)


def cached_file(dataset, folder):
    obtain(dataset, folder)
    return next(folder.glob("segmenter-*.safetensors"))


def test_a_broken_cache_is_named(dataset, tmp_path):
    file = cached_file(dataset, tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"{file.name}` can't be read as a segmenter: .* Delete it to train again"):
        obtain(dataset, tmp_path)


def test_a_cache_without_settings_is_named(dataset, tmp_path):
    file = cached_file(dataset, tmp_path)
    save_file(load_file(file), file)
    with pytest.raises(ValueError, match="can't be read as a segmenter"):
        obtain(dataset, tmp_path)


def test_a_cache_with_other_weights_is_named(dataset, tmp_path):
    file = cached_file(dataset, tmp_path)
    with safe_open(file, framework="pt") as content:
        metadata = content.metadata()
    save_file({"weight": torch.zeros(2)}, file, metadata=metadata)
    with pytest.raises(ValueError, match="its weights do not fit"):
        obtain(dataset, tmp_path)


def test_a_segmenter_of_another_network_is_named(dataset, tmp_path):
    file = cached_file(dataset, tmp_path)
    with pytest.raises(ValueError, match="is a segmenter for another feature network"):
        load_segmenter(file, ColorNetwork(gain=2.0), LABELS)
    assert isinstance(load_segmenter(file, ColorNetwork(), LABELS), Segmenter)


def test_a_segmenter_of_an_older_version_is_refused(dataset, tmp_path):
    file = cached_file(dataset, tmp_path)
    settings = {"labels": list(LABELS.names), "feature_network": "colors"}  # as they were saved before
    save_file(load_file(file), file, metadata={"settings": json.dumps(settings)})
    with pytest.raises(ValueError, match="was saved by an older version, without the labels' ids and colors"):
        load_segmenter(file, ColorNetwork(), LABELS)
