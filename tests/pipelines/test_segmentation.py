"""Photographs to masks: sizes, orientations, ids, and pipelines with and without a segmenter."""

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline, SPADESegmenter
from spade_hf.labels.label_set import Label
from spade_hf.pipelines.segmentation import segment_photo

from ..tiny_networks import NUM_LABELS, tiny_generator, tiny_segmenter


NAMES = ("sky", "tree", "rock", "water")


def labels_of(unknown=False, step=3):
    labels = tuple(Label(step * number, name, (number, 9, 9)) for number, name in enumerate(NAMES))
    if not unknown:
        return LabelSet("four", labels)
    return LabelSet("four", (*labels[:2], Label(5, "nothing", (0, 0, 0)), *labels[2:]), unknown_id=5)


def pipeline_of(labels=None, **parts):
    labels = labels or labels_of()
    parts = {"segmenter": tiny_segmenter(labels=NAMES), **parts}
    generator = tiny_generator(use_unknown_label=labels.use_unknown_label)
    return SPADEPipeline(generator, SPADEImageProcessor(label_set=labels), **parts)


def photo_of(width=96, height=64):
    pixels = torch.rand(6, 9, 3, generator=torch.Generator().manual_seed(0)).mul(255).to(torch.uint8).numpy()
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def as_tensor(photo):
    return torch.from_numpy(np.array(photo)).movedim(-1, 0) / 255


class TestPhotos:
    @pytest.mark.parametrize("size", [(96, 64), (301, 97), (10, 13), (64, 640)])
    def test_a_mask_is_as_large_as_its_photograph(self, size):
        (mask,) = pipeline_of().segment(photo_of(*size))
        assert mask.size == size and mask.mode == "L"
        assert set(np.unique(np.array(mask))) <= {0, 3, 6, 9} and len(np.unique(np.array(mask))) > 1

    @torch.no_grad()
    def test_it_is_what_the_segmenter_says_of_the_photograph_at_its_size(self):
        model = tiny_segmenter()  # of 64x64: the photograph is read at its own size
        segmentation = segment_photo(model, as_tensor(photo_of(64, 64)), image_size=64, device="cpu")
        images = as_tensor(photo_of(64, 64))[None] * 2 - 1
        assert segmentation.numbers.equal(model.predict(images)[0])
        assert segmentation.confidence == pytest.approx(model.probabilities(images).amax(dim=1).mean().item())

    def test_ids_are_those_of_the_label_set(self):
        known = pipeline_of()
        unknown = pipeline_of(labels_of(unknown=True))
        large = pipeline_of(labels_of(step=1000))
        (one,), (two,), (three,) = (model.segment(photo_of()) for model in (known, unknown, large))
        assert np.array_equal(np.array(one), np.array(two))  # 5, of unknown, is never told
        assert three.mode == "I;16" and np.array_equal(np.array(three), np.array(one).astype(int) // 3 * 1000)

    def test_photographs_are_turned_upright(self, tmp_path):
        upright = photo_of(64, 128)
        exif = Image.Exif()
        exif[0x0112] = 6  # is stored lying on its side
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
        (mask,) = pipeline_of().segment(str(tmp_path / "phone.png"))
        assert mask.size == (64, 128)
        assert np.array_equal(np.array(mask), np.array(pipeline_of().segment(upright)[0]))

    def test_several_of_different_sizes(self, tmp_path):
        photo_of().save(tmp_path / "a.jpg")
        masks = pipeline_of().segment([tmp_path / "a.jpg", photo_of(50, 70), np.array(photo_of().convert("RGB"))])
        assert [mask.size for mask in masks] == [(96, 64), (50, 70), (96, 64)]

    def test_gray_photographs_are_read(self):
        (mask,) = pipeline_of().segment(photo_of().convert("L"))
        assert mask.size == (96, 64)

    def test_a_mask_can_be_painted(self):
        pipeline = pipeline_of()
        assert pipeline(pipeline.segment(photo_of()), height=64, width=96).images[0].size == (96, 64)

    def test_what_cannot_be_read(self, tmp_path):
        (tmp_path / "broken.jpg").write_bytes(b"not an image")
        with pytest.raises(ValueError, match="broken.jpg.* cannot be read as an image"):
            pipeline_of().segment(str(tmp_path / "broken.jpg"))
        with pytest.raises(ValueError, match="is a URL"):
            pipeline_of().segment("https://example.org/a.jpg")

    def test_half_precision_weights(self):
        pipeline = pipeline_of().to(torch.bfloat16)
        assert pipeline.segment(photo_of())[0].size == (96, 64)


class TestComponent:
    def test_saved_and_loaded(self, tmp_path):
        pipeline = pipeline_of()
        pipeline.save_pretrained(tmp_path / "with")
        loaded = SPADEPipeline.from_pretrained(tmp_path / "with")
        assert isinstance(loaded.segmenter, SPADESegmenter) and not loaded.segmenter.training
        assert np.array_equal(np.array(loaded.segment(photo_of())[0]), np.array(pipeline.segment(photo_of())[0]))
        pipeline_of(segmenter=None).save_pretrained(tmp_path / "without")
        assert not (tmp_path / "without" / "segmenter").exists()
        assert SPADEPipeline.from_pretrained(tmp_path / "without").segmenter is None

    def test_a_folder_from_before_segmenters_loads(self, tmp_path):
        pipeline_of(segmenter=None).save_pretrained(tmp_path)
        index = tmp_path / "model_index.json"
        text = index.read_text()
        assert '"segmenter"' in text
        lines = text.splitlines()
        start = next(number for number, line in enumerate(lines) if '"segmenter"' in line)
        index.write_text("\n".join(lines[:start] + lines[start + 4 :]))
        assert SPADEPipeline.from_pretrained(tmp_path).segmenter is None

    def test_without_one_segment_says_so(self):
        with pytest.raises(ValueError, match=r"has no `segmenter`, .* Add one, as docs/segmenter.md shows"):
            pipeline_of(segmenter=None).segment(photo_of())

    def test_a_segmenter_of_other_labels_is_refused(self):
        with pytest.raises(ValueError, match=r"`segmenter` has 5 labels, and label set 'four' has 4"):
            pipeline_of(segmenter=tiny_segmenter(num_labels=NUM_LABELS + 1))
        with pytest.raises(ValueError, match=r"the first that differs is 'bush' instead of 'tree'"):
            pipeline_of(segmenter=tiny_segmenter(labels=("sky", "bush", "rock", "water")))

    def test_a_model_without_labels_has_none_to_tell(self):
        processor = SPADEImageProcessor(label_set=None, condition_channels=3)
        generator = tiny_generator(num_labels=0, condition_channels=3)
        with pytest.raises(ValueError, match="has no labels"):
            SPADEPipeline(generator, processor, segmenter=tiny_segmenter())
        with pytest.raises(ValueError, match="has no labels"):
            SPADEPipeline(generator, processor).segment(photo_of())
