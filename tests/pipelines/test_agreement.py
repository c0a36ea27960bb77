"""Whether an image shows what its mask says, according to a segmenter."""

import pytest
import torch

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.labels.label_set import Label
from spade_hf.pipelines.agreement import measure_agreement

from ..tiny_networks import NUM_LABELS, tiny_generator, tiny_outlines, tiny_segmenter


LABELS = LabelSet.anonymous(NUM_LABELS)
UNKNOWN_FIRST = LabelSet("five", tuple(Label(i, f"label {i - 1}", (50 * i, 9, 9)) for i in range(1, 5)), unknown_id=0)


class Knowing(torch.nn.Module):
    """A segmenter that is sure of label 2 by 0.7, and of the others by 0.1 each."""

    dtype = torch.float32

    def probabilities(self, images):
        seen = torch.full((len(images), NUM_LABELS, *images.shape[-2:]), 0.1)
        seen[:, 2] = 0.7
        return seen


def build(**channels):
    processor = SPADEImageProcessor(label_set=LABELS, **channels)
    return SPADEPipeline(tiny_generator(**channels), processor, segmenter=tiny_segmenter())


def masks(count=2):
    return torch.randint(0, NUM_LABELS, (count, 64, 64), generator=torch.Generator().manual_seed(3))


def test_the_probability_of_the_masks_label():
    label_map = torch.tensor([[[0, 2], [2, 3]], [[0, 0], [0, 0]]])
    agreement, means = measure_agreement(Knowing(), torch.zeros(2, 3, 2, 2), label_map, LABELS)
    assert agreement.tolist() == [
        [pytest.approx(row) for row in ([0.1, 0.7], [0.7, 0.1])],
        [[pytest.approx(0.1)] * 2] * 2,
    ]
    assert means.tolist() == pytest.approx([0.4, 0.1])


def test_unknown_pixels_say_nothing():
    """Their channel is 0 here, so that channels are not the segmenter's classes."""
    channels = torch.tensor([[[0, 3], [3, 1]], [[0, 0], [0, 0]]])
    agreement, means = measure_agreement(Knowing(), torch.zeros(2, 3, 2, 2), channels, UNKNOWN_FIRST)
    assert agreement[0].tolist() == [pytest.approx([1, 0.7]), pytest.approx([0.7, 0.1])]
    assert means.tolist() == pytest.approx([0.5, 1])


def test_labels_of_a_soft_mask_count_by_their_weights():
    segmap = torch.zeros(1, NUM_LABELS, 1, 2)
    segmap[0, :, 0, 0] = torch.tensor([0.5, 0, 0.5, 0])
    segmap[0, :, 0, 1] = torch.tensor([0, 0, 2.0, 2.0])  # several labels at once
    agreement, _ = measure_agreement(Knowing(), torch.zeros(1, 3, 1, 2), segmap, LABELS)
    assert agreement.flatten().tolist() == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("image_channels", [1, 3])
def test_every_image_has_its_own(image_channels):
    pipeline = build(image_channels=image_channels)
    output = pipeline(
        masks(),
        num_images_per_mask=3,
        batch_size=2,
        return_agreement=True,
        output_type="pt",
        generator=torch.Generator().manual_seed(0),
    )
    assert output.agreement.shape == (6, 64, 64) and output.agreement.dtype == torch.float32
    assert output.mean_agreement.shape == (6,) and 0 <= output.agreement.min() <= output.agreement.max() <= 1
    images = output.images * 2 - 1
    repeated = masks().repeat_interleave(3, dim=0)
    expected, means = measure_agreement(pipeline.segmenter, images, repeated, LABELS)
    torch.testing.assert_close(output.agreement, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.mean_agreement, means, atol=1e-4, rtol=0)


def test_the_masks_that_were_painted_in_the_end_count():
    pipeline = build()
    pipeline.register_modules(outline_model=tiny_outlines())
    images, _, label_maps, agreement, _ = pipeline(
        masks(1),
        outline_strength=0.9,
        return_agreement=True,
        return_dict=False,
        output_type="pt",
        generator=torch.Generator().manual_seed(0),
    )
    assert not label_maps.equal(masks(1))
    expected, _ = measure_agreement(pipeline.segmenter, images * 2 - 1, label_maps, LABELS)
    torch.testing.assert_close(agreement, expected, atol=1e-4, rtol=0)


def test_without_it_nothing_is_measured():
    output = build()(masks(1))
    assert output.agreement is None and output.mean_agreement is None


def test_what_cannot_be_measured():
    pipeline = SPADEPipeline(tiny_generator(), SPADEImageProcessor(label_set=LABELS))
    with pytest.raises(ValueError, match="This model has no `segmenter`"):
        pipeline(masks(), return_agreement=True)
    with pytest.raises(ValueError, match="gray or RGB images for its segmenter; this model's have 5 channels"):
        build(image_channels=5)(masks(), return_agreement=True, output_type="pt")
    processor = SPADEImageProcessor(label_set=None, condition_channels=1)
    pipeline = SPADEPipeline(tiny_generator(num_labels=0, condition_channels=1), processor)
    with pytest.raises(ValueError, match="this model has no labels"):
        pipeline(condition=torch.zeros(1, 1, 64, 64), return_agreement=True)
