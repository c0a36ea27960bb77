"""Segmentation models of transformers, with random weights, as folders and on a Hub."""

import json

import pytest
import torch
from transformers import ConvNextConfig, ConvNextModel, SegformerForSemanticSegmentation

from spade_hf.labels.class_tables import TABLES, ClassTable
from spade_hf.labels.label_set import Label, LabelSet
from spade_hf.models.transformers_segmenter import IMAGE_SIZE, TransformersSegmenter, match_labels, read_image_size

from ..tiny_networks import save_tiny_segmenter
from ..training_data import LABELS


CLASSES = ("Wall", "sky", "grass, lawn", "tree", "Rock-stone")
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def images(size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def segmenter(tmp_path):
    save_tiny_segmenter(tmp_path / "segformer", CLASSES)
    content = {"image_mean": MEAN, "image_std": STD, "size": {"height": 96, "width": 128}}
    (tmp_path / "segformer" / "preprocessor_config.json").write_text(json.dumps(content))
    return tmp_path / "segformer"


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((images + 1) / 2 - mean) / std


def test_a_label_s_score_is_its_likeliest_class_s(segmenter):
    ours = TransformersSegmenter(str(segmenter), LABELS, ClassTable({"Rock-stone": "rock", "tree": "grass"}))
    predictions = ours.predict(images())
    model = SegformerForSemanticSegmentation.from_pretrained(segmenter).eval()
    with torch.no_grad():
        scores = model(normalized(images())).logits  # wall, sky, grass, tree, rock
    logits = torch.stack([scores[:, 1], scores[:, [2, 3]].amax(dim=1), scores[:, 4]], dim=1)
    expected = torch.nn.functional.interpolate(logits, (64, 96), mode="bilinear").argmax(dim=1)
    assert predictions.equal(expected)
    assert predictions.unique().numel() > 1


def test_a_hub_id(segmenter, hub):
    hub.add_repo("alice/segmenter", {path.name: path.read_bytes() for path in segmenter.iterdir()})
    names = ClassTable({"Rock-stone": "rock"})
    downloaded = TransformersSegmenter("alice/segmenter", LABELS, names)
    local = TransformersSegmenter(str(segmenter), LABELS, names)
    assert downloaded.predict(images()).equal(local.predict(images()))
    with pytest.raises(ValueError, match="'alice/nothing' is not a folder, and can't be downloaded from the Hub"):
        TransformersSegmenter("alice/nothing", LABELS)


def test_classes_that_do_not_fit_are_named(segmenter):
    with pytest.raises(ValueError, match="has no class for rock. Its classes are Wall, sky, .*`segmenter_labels`"):
        TransformersSegmenter(str(segmenter), LABELS)
    with pytest.raises(ValueError, match="names the class 'stone'; allowed are Wall, sky"):
        TransformersSegmenter(str(segmenter), LABELS, ClassTable({"stone": "rock"}))
    with pytest.raises(ValueError, match="names the label 'rocks'; allowed are sky, grass, rock"):
        TransformersSegmenter(str(segmenter), LABELS, ClassTable({"Rock-stone": "rocks"}))


def test_an_exact_name_comes_before_a_similar_one():
    similar = LabelSet(name="two", labels=(Label(0, "door, double door", (0, 0, 0)), Label(1, "door", (1, 1, 1))))
    assert match_labels(["unknown", "door, double door", "door"], similar, ClassTable({}), model="") == [[1], [2]]


def test_probabilities_leave_room_for_other_classes(segmenter):
    ours = TransformersSegmenter(str(segmenter), LABELS, ClassTable({"Rock-stone": "rock"}))
    probabilities = ours.probabilities(images())
    assert probabilities.shape == (2, 4, 64, 96) and (probabilities[:, 3] == 0).all()  # unknown is never predicted
    assert (probabilities.sum(dim=1) < 1).all() and probabilities[:, :3].min() > 0
    labeled = probabilities.argmax(dim=1) == ours.predict(images())
    assert labeled.float().mean() > 0.99  # but for how pixels between two positions are interpolated


def test_the_size_that_is_read_best(segmenter, tmp_path):
    assert TransformersSegmenter(str(segmenter), LABELS, ClassTable({"Rock-stone": "rock"})).image_size == 96
    assert read_image_size(tmp_path) == IMAGE_SIZE
    for size, expected in (({"shortest_edge": 224}, 224), (640, 640), (None, IMAGE_SIZE), ({"height": 1}, IMAGE_SIZE)):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": size}))
        assert read_image_size(tmp_path) == expected


def test_labels_that_may_have_no_class(segmenter):
    allowed = TransformersSegmenter(str(segmenter), LABELS, ClassTable({}, frozenset({"rock"})))
    assert allowed.classes == [[1], [2], [], []]
    with pytest.raises(ValueError, match="names the label 'rocks'; allowed are sky, grass, rock"):
        TransformersSegmenter(str(segmenter), LABELS, ClassTable({}, frozenset({"rocks"})))


@pytest.mark.parametrize(
    ("table", "theirs", "ours"),
    [
        ("ade20k", "ade20k", "landscapes"),
        ("coco-stuff", "coco-stuff", "landscapes"),
        ("cityscapes", "cityscapes-trainids", "cityscapes"),
    ],
)
def test_built_in_tables_fit_the_data_sets_names(table, theirs, ours):
    classes, labels = LabelSet.from_name(theirs), LabelSet.from_name(ours)
    named = set(TABLES[table].labels)
    assert not named - set(classes.names), "a class that the data set does not have"
    assert set(TABLES[table].labels.values()) <= {*labels.names, "building"}
    found = match_labels(classes.names, labels, TABLES[table], model=theirs)
    empty = {labels.names[channel] for channel, own in enumerate(found) if not own}
    assert empty - {labels.names[labels.unknown_channel] if labels.use_unknown_label else ""} <= TABLES[table].never
    assert len({number for own in found for number in own}) == sum(map(len, found))  # no class has two labels
    if table == "ade20k":
        assert empty == {"cloud", "snow"}
    if table == "coco-stuff":
        assert not empty


def test_shortened_names_count_in_built_in_tables():
    labels = LabelSet.from_name("landscapes")
    classes = ["sky", "mountain", "rock", "grass", "tree", "sand", "water", "sea", "Earth_", "flower", "wall"]
    found = match_labels(classes, labels, TABLES["ade20k"], model="short")
    assert found[labels.names.index("dirt")] == [8]
    with pytest.raises(ValueError, match="'short' has no class for flower"):
        match_labels(classes[:9], labels, TABLES["ade20k"], model="short")


def test_what_is_no_segmentation_model(tmp_path):
    ConvNextModel(ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="can't be loaded as a semantic segmentation model"):
        TransformersSegmenter(str(tmp_path), LABELS)
