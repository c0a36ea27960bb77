"""Streams: from parquet and from the Hub, in an order that follows from seed and epoch."""

import datasets
import pytest

from spade_hf.data import PairedTransform, StreamedImageDataset, build_loader, load_rows, preview_samples
from spade_hf.training import TrainingState, resumable_batches

from ..training_data import make_dataset, make_reader, make_rows, real_image, write_imagefolder


WHOLE = PairedTransform(resolution=(40, 48), resize_ratio=1, random_flip=False)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """`datasets` waits five seconds for Arrow's threads at the end of every epoch of a stream."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.2)


def make_stream(rows=None, *, num_shards=1, **options):
    rows = make_rows(count=12) if rows is None else rows
    rows = rows.to_iterable_dataset(num_shards=num_shards) if hasattr(rows, "to_iterable_dataset") else rows
    reader = make_reader(
        transform=options.pop("transform", WHOLE), instance_column=options.pop("instance_column", None)
    )
    return StreamedImageDataset(rows, reader, **{"seed": 0, "shuffle_buffer_size": 4, **options})


def views(samples):
    return [sample["real_images"].numpy().tobytes() for sample in samples]


@pytest.fixture(scope="module")
def whole():
    """What a stored data set reads of the same twelve rows."""
    return set(views(make_dataset(make_rows(count=12), transform=WHOLE)[index] for index in range(12)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_has_every_row_once(whole, num_workers):
    loader = build_loader(make_stream(num_shards=2), 1, num_workers=num_workers)
    batches = list(loader)
    assert {batch["real_images"].numpy().tobytes() for batch in batches} == whole
    assert len({batch["seed"].item() for batch in batches}) == len(batches) == 12


@pytest.mark.parametrize("num_workers", [0, 3])
def test_an_epoch_drops_one_incomplete_batch_at_most(num_workers):
    """Also if each worker has fewer rows than a batch."""
    loader = build_loader(make_stream(make_rows(count=9), num_shards=3), 4, num_workers=num_workers)
    seeds = [seed for batch in loader for seed in batch["seed"].tolist()]
    assert len(set(seeds)) == len(seeds) == 8


def test_the_order_alone_follows_from_seed_and_epoch():
    """Whole images, which the augmentation leaves alone."""
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            stream = make_stream(seed=seed)
            stream.set_epoch(epoch)
            orders[seed, epoch] = tuple(views(stream))
    assert len(set(orders.values())) == 4
    assert len({frozenset(order) for order in orders.values()}) == 1


def test_order_and_augmentation_follow_from_seed_and_epoch():
    found = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            stream = make_stream(seed=seed, transform=PairedTransform(resolution=(32, 32)))
            list(preview_samples(stream, 3))  # what was read before plays no part
            stream.set_epoch(epoch)
            found[seed, epoch] = views(stream)
            assert found[seed, epoch] == views(stream)
    assert len(set(map(tuple, found.values()))) == 4


def test_previews_of_both_kinds():
    assert len(preview_samples(make_stream(), 5)) == 5
    assert len(preview_samples(make_stream(), 50)) == 12
    assert len(preview_samples(make_dataset(), 50)) == 6
    dataset = make_dataset()
    for shown, row in zip(preview_samples(dataset, 3), (0, 2, 4), strict=True):
        assert shown["seed"] == dataset[row]["seed"]


def test_broken_rows_of_a_stream(caplog):
    rows = make_rows(
        image=[real_image(0), None, real_image(2), {"bytes": b"no", "path": "3.jpg"}, real_image(4), real_image(5)]
    )
    with pytest.raises(ValueError, match=r"Row \d of the shuffled stream \(worker 0\) \(.*\): column `image`"):
        list(make_stream(rows))
    assert len(list(make_stream(rows, skip_broken=True))) == 4
    assert sum("Left out: Row" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("kind", ["parquet file", "parquet folder", "imagefolder", "saved"])
def test_local_streams(kind, tmp_path):
    name = tmp_path / "data"
    if kind == "imagefolder":
        write_imagefolder(name, count=12)
    elif kind == "saved":
        make_rows(count=12).save_to_disk(name)
    else:
        name.mkdir()
        make_rows(count=12).to_parquet(name / "train.parquet")
    rows = load_rows(str(name / "train.parquet" if kind == "parquet file" else name), streaming=True)
    stream = make_stream(rows)
    samples = list(stream)
    assert len(samples) == 12 and all(sample["label_map"].max() == 3 for sample in samples)


def test_a_stream_from_the_hub(hub, whole):
    repo = f"{hub.user}/streamed-pairs"
    make_rows(count=12).push_to_hub(repo, token=hub.token)
    assert set(views(make_stream(load_rows(repo, streaming=True)))) == whole


def test_a_column_that_is_not_there(tmp_path):
    make_rows().remove_columns("label").to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"`mask_column` is 'label'; the data set has the columns image, file_name"):
        make_stream(load_rows(str(tmp_path / "train.parquet"), streaming=True))


def test_slices_cannot_be_streamed(tmp_path):
    make_rows().to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"split 'train\[:2\]'\) cannot be loaded"):
        load_rows(str(tmp_path / "train.parquet"), split="train[:2]", streaming=True)


def test_a_stream_shorter_than_a_batch():
    class Loader(list):
        def set_epoch(self, epoch):
            pass

    batches = resumable_batches(None, Loader(), make_stream(), TrainingState(), 3, samples_per_batch=2)
    with pytest.raises(ValueError, match=r"fewer rows than a batch. Give a smaller `batch_size`"):
        next(batches)
