"""Natural maps of painted ones: the sampler, and the pipeline that has an outline model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEImageProcessor, SPADEOutlineModel, SPADEPipeline
from spade_hf.labels.label_set import Label
from spade_hf.models.outlines import add_noise, signed_one_hot
from spade_hf.pipelines.refinement import refine_label_maps

from ..tiny_networks import NUM_LABELS, random_label_map, tiny_generator, tiny_outlines, tiny_style_encoder


SIZE = (64, 64)
NAMES = ("sky", "tree", "rock", "water")
LABELS = LabelSet("four", tuple(Label(10 * i, name, (50 * i, 9, 9)) for i, name in enumerate(NAMES)))
UNKNOWN_FIRST = LabelSet(
    "five", tuple(Label(i, name, (50 * i, 9, 9)) for i, name in enumerate(NAMES, 1)), unknown_id=0
)


def noise_of(seed, count=1):
    return torch.randn(count, NUM_LABELS, *SIZE, generator=torch.Generator().manual_seed(seed))


def refine(model, label_maps, strength, seed=0, steps=3):
    return refine_label_maps(
        model, label_maps, noise_of(seed, len(label_maps)), strength=strength, num_inference_steps=steps
    )


class Oracle(SimpleNamespace):
    """A network that knows the natural map, and records what it is given."""

    def __init__(self, answer):
        super().__init__(config=SimpleNamespace(num_labels=NUM_LABELS, min_log_snr=-12.0, max_log_snr=4.0))
        self.answer, self.calls = answer, []

    def __call__(self, noisy_map, label_map, log_snr):
        self.calls.append((noisy_map, label_map, log_snr.tolist()))
        return SimpleNamespace(logits=20 * signed_one_hot(self.answer, NUM_LABELS, torch.float32))


class TestSampler:
    painted = random_label_map(SIZE)[:1] % 3  # the last label is not there

    def test_strength_0_returns_what_is_painted_without_the_network(self):
        oracle = Oracle(self.painted)
        assert refine(oracle, self.painted, 0.0).equal(self.painted) and not oracle.calls

    def test_strength_says_where_the_noise_starts(self):
        for strength, first in ((0.25, 0.0), (1.0, -12.0)):
            oracle = Oracle(self.painted)
            refine(oracle, self.painted, strength, steps=4)
            levels = [level for _, _, (level,) in oracle.calls]
            assert levels == pytest.approx([first + (4 - first) * share for share in (0, 2 / 7, 4 / 7, 6 / 7)])

    def test_the_first_input_is_the_painted_map_with_noise(self):
        oracle = Oracle(self.painted)
        refine(oracle, self.painted, 0.25)  # at 4 - 16 / 4 = 0, where signal and noise are equal
        expected = 0.5**0.5 * (signed_one_hot(self.painted, NUM_LABELS, torch.float32) + noise_of(0))
        torch.testing.assert_close(oracle.calls[0][0], expected)

    def test_it_walks_to_the_networks_answer(self):
        answer = self.painted.roll(1, dims=-1)
        oracle = Oracle(answer)
        found = refine(oracle, self.painted, 1.0, steps=8)
        assert (found == answer).float().mean() > 0.8  # but for parts that have to stay
        last, expected = oracle.calls[-1][0], signed_one_hot(answer, NUM_LABELS, torch.float32)
        assert (last - expected).abs().mean() < 0.5

    @pytest.mark.parametrize("strength", [0.3, 0.7, 0.9])
    def test_in_half_precision_no_pixel_is_held_where_the_strength_starts(self, strength):
        answer = self.painted.roll(8, dims=-1)
        oracle, noise = Oracle(answer), noise_of(0).to(torch.bfloat16)
        refine_label_maps(oracle, self.painted, noise, strength=strength, num_inference_steps=2)
        (first, _, (level,)), (second, *_) = oracle.calls
        assert first.dtype == torch.bfloat16 and level == pytest.approx(4 - 16 * strength)
        to_answer, to_painted = ((second.argmax(dim=1) == one).float().mean() for one in (answer, self.painted))
        assert to_answer > to_painted  # if it were held, the other way round

    def test_no_label_appears_that_is_not_painted(self):
        answer = torch.full_like(self.painted, 3)
        found = refine(Oracle(answer), self.painted, 1.0)
        assert set(found.unique().tolist()) <= set(self.painted.unique().tolist())

    @pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
    def test_holes_are_filled(self, strength):
        painted = self.painted.clone()
        painted[:, :32] = NUM_LABELS
        oracle = Oracle(torch.full_like(painted, 3))
        found = refine(oracle, painted, strength)
        assert found[:, :32].eq(3).all() and found.max() < NUM_LABELS
        if strength == 0:
            assert found[:, 32:].equal(painted[:, 32:])
            for noisy, _, level in oracle.calls:  # held at the painted map with the same noise
                expected = add_noise(painted, noise_of(0), torch.tensor(level))
                torch.testing.assert_close(noisy[:, :, 32:], expected[:, :, 32:], atol=1e-4, rtol=0)
        assert oracle.calls[0][2] == [-12.0]  # from nothing but noise

    def test_a_map_is_the_same_alone_and_beside_one_with_holes(self):
        model, hole = tiny_outlines(), torch.full_like(self.painted, NUM_LABELS)
        both = torch.cat([self.painted, hole])
        noise = torch.cat([noise_of(1), noise_of(2)])
        together = refine_label_maps(model, both, noise, strength=0.6, num_inference_steps=2)
        for number, one in enumerate(together):
            alone = refine_label_maps(model, both[[number]], noise[[number]], strength=0.6, num_inference_steps=2)
            assert (alone[0] == one).float().mean() > 0.999  # rounding depends on the batch


def pipeline_of(labels=LABELS, **changes):
    unknown = labels.use_unknown_label
    parts = {"generator": tiny_generator(use_unknown_label=unknown), "outline_model": tiny_outlines(labels=NAMES)}
    pipeline = SPADEPipeline(
        image_processor=SPADEImageProcessor(label_set=labels),
        style_encoder=tiny_style_encoder(),
        **{**parts, **changes},
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


MASK = np.array(LABELS.ids)[random_label_map(SIZE)[0].numpy()]  # ids 0, 10, 20, 30
HOLES = np.where(np.arange(64)[:, None] < 32, 255, MASK)


class TestPipeline:
    def test_the_default_is_exact_and_never_calls_the_network(self, monkeypatch):
        pipeline = pipeline_of()
        monkeypatch.setattr(pipeline.outline_model, "forward", None)
        output = pipeline(MASK, generator=seeded(), output_type="np")
        assert output.label_maps is None
        without = pipeline_of(outline_model=None)(MASK, generator=seeded(), output_type="np")
        assert (output.images == without.images).all()

    def test_what_is_painted_is_returned(self, pipeline):
        output = pipeline(
            [MASK, HOLES], outline_strength=0.7, num_images_per_mask=2, generator=seeded(), output_type="pt"
        )
        maps = output.label_maps
        assert maps.shape == (4, *SIZE) and maps.dtype == torch.int64
        assert set(maps.unique().tolist()) <= set(LABELS.ids)
        assert maps[0].equal(maps[1]) and maps[2].equal(maps[3]) and not maps[0].equal(maps[2])
        again = pipeline(maps.numpy(), latents=output.latents, output_type="pt")
        torch.testing.assert_close(again.images, output.images, atol=1e-4, rtol=0)

    def test_a_seed_means_the_same_style_with_and_without_outlines(self, pipeline):
        with_, without = (pipeline(MASK, outline_strength=one, generator=seeded(3)) for one in (0.7, 0))
        assert with_.latents.equal(without.latents)

    def test_seeds_repeat_alone_and_in_a_batch(self, pipeline):
        both = pipeline([MASK, HOLES], outline_strength=0.7, generator=[seeded(1), seeded(2)])
        for number, mask in enumerate((MASK, HOLES)):
            alone = pipeline(mask, outline_strength=0.7, generator=[seeded(number + 1)])
            assert alone.label_maps[0].equal(both.label_maps[number])
            assert alone.latents[0].equal(both.latents[number])
        assert pipeline(MASK, outline_strength=0.7, generator=seeded(5)).label_maps.ne(both.label_maps[0]).any()

    def test_tuples_have_the_maps_only_when_they_are_used(self, pipeline):
        assert len(pipeline(MASK, return_dict=False)) == 2
        images, latents, maps = pipeline(MASK, outline_strength=0.5, return_dict=False)
        assert maps.shape == (1, *SIZE)

    def test_it_is_saved_and_loaded_with_the_pipeline(self, pipeline, tmp_path):
        pipeline.save_pretrained(str(tmp_path))
        assert (tmp_path / "outline_model" / "config.json").is_file()
        loaded = SPADEPipeline.from_pretrained(str(tmp_path))
        assert isinstance(loaded.outline_model, SPADEOutlineModel)
        ours, theirs = (one.refine_mask(HOLES, generator=seeded())[0] for one in (pipeline, loaded))
        assert ours.tobytes() == theirs.tobytes()
        pipeline_of(outline_model=None).save_pretrained(str(tmp_path / "without"))
        assert not (tmp_path / "without" / "outline_model").exists()
        assert SPADEPipeline.from_pretrained(str(tmp_path / "without")).outline_model is None

    def test_an_unknown_label_is_what_is_not_painted(self):
        pipeline = pipeline_of(UNKNOWN_FIRST)
        mask = random_label_map(SIZE)[0].numpy() + 1
        mask[:32] = 0
        kept = np.array(pipeline.refine_mask(mask, 0.0, generator=seeded())[0])
        assert (kept[32:] == mask[32:]).all() and set(np.unique(kept)) <= {1, 2, 3, 4}
        exact = pipeline(mask, generator=seeded())  # unknown stays unknown
        assert exact.label_maps is None

    def test_instance_edges_cannot_follow(self):
        pipeline = SPADEPipeline(
            tiny_generator(use_instance_edges=True),
            SPADEImageProcessor(label_set=LABELS, use_instance_edges=True),
            outline_model=tiny_outlines(),
        )
        with pytest.raises(ValueError, match="`outline_strength` is 0.5, but this model has instance edges"):
            pipeline(MASK, instance_map=MASK, outline_strength=0.5)


class TestRefineMask:
    def test_one_image_of_ids_per_mask(self, pipeline):
        first, second = pipeline.refine_mask([MASK, HOLES], generator=seeded())
        assert first.mode == "L" and first.size == SIZE
        assert {*np.unique(first), *np.unique(second)} <= set(LABELS.ids)

    def test_strength_0_keeps_painted_pixels_and_fills_the_rest(self, pipeline):
        assert (np.array(pipeline.refine_mask(MASK, 0)[0]) == MASK).all()
        filled = np.array(pipeline.refine_mask(HOLES, 0, generator=seeded())[0])
        assert (filled[32:] == MASK[32:]).all() and 255 not in filled

    def test_transparent_pixels_are_not_painted(self, pipeline):
        colors = np.dstack([LABELS.colorize(MASK), np.full(SIZE, 255, np.uint8)])
        colors[:32, :, 3] = 0
        ours, theirs = (pipeline.refine_mask(one, 0.7, generator=seeded())[0] for one in (colors, HOLES))
        assert ours.tobytes() == theirs.tobytes()

    def test_a_layout_of_nothing(self, pipeline):
        one, other = (pipeline.refine_mask(np.full(SIZE, 255), generator=seeded(s))[0] for s in (0, 1))
        assert one.tobytes() != other.tobytes()

    def test_other_sizes(self, pipeline):
        assert pipeline.refine_mask(MASK, height=32, width=96)[0].size == (96, 32)

    def test_ids_above_255_are_stored_in_16_bits(self):
        wide = LabelSet("wide", tuple(Label(300 + i, name, (i, 9, 9)) for i, name in enumerate(NAMES)))
        image = pipeline_of(wide).refine_mask(np.full(SIZE, 301), 0.5)[0]
        assert image.mode == "I;16" and set(np.unique(image)) == {301}

    def test_an_image_file(self, pipeline, tmp_path):
        Image.fromarray(HOLES.astype(np.uint8)).save(tmp_path / "holes.png")
        found = pipeline.refine_mask(str(tmp_path / "holes.png"), generator=seeded())[0]
        assert found.tobytes() == pipeline.refine_mask(HOLES, generator=seeded())[0].tobytes()


class TestHalfSizeHead:
    """The generator reads half of the image's size, and that is where outlines are drawn."""

    pipeline = pipeline_of(generator=tiny_generator(head_upsampling=2, image_size=128))
    painted = np.kron(HOLES, np.ones((2, 2), np.int64))  # (128, 128)

    def test_natural_maps_are_those_of_half_the_size_enlarged(self, pipeline):
        small = pipeline.refine_mask(HOLES, generator=seeded())[0]
        for mask in (HOLES, self.painted):
            large = self.pipeline.refine_mask(mask, generator=seeded())[0]
            assert large.size == (128, 128) and large.tobytes() == small.resize((128, 128), 0).tobytes()

    def test_strength_0_keeps_every_painted_pixel(self):
        mask = self.painted.copy()
        mask[101, 33] = (mask[101, 33] + 10) % 40  # a pixel that the generator does not read
        filled = np.array(self.pipeline.refine_mask(mask, 0, generator=seeded())[0])
        assert (filled[64:] == mask[64:]).all() and 255 not in filled

    def test_the_image_is_that_of_the_map_which_is_returned(self):
        output = self.pipeline(HOLES, outline_strength=0.7, generator=seeded(), output_type="pt")
        assert output.label_maps.shape == (1, 128, 128)
        again = self.pipeline(output.label_maps.numpy(), latents=output.latents, output_type="pt")
        torch.testing.assert_close(again.images, output.images, atol=1e-4, rtol=0)

    def test_a_mask_of_half_the_size_is_enlarged_by_resizing(self):
        """And read as it is: its image is that of the enlarged mask, and the head paints the pixels between."""
        z = torch.ones(1, 8)
        images = [
            self.pipeline(m, latents=z, output_type="pt").images for m in (MASK, np.kron(MASK, np.ones((2, 2), int)))
        ]
        assert images[0].shape == (1, 3, 128, 128) and torch.equal(*images)
        assert (images[0][..., ::2, :] - images[0][..., 1::2, :]).abs().mean() > 1e-3


class TestErrors:
    @pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan"), "1", True, None])
    def test_strength(self, pipeline, strength):
        with pytest.raises(ValueError, match=r"`outline_strength` is .*; it must be a number in 0\.\.1"):
            pipeline(MASK, outline_strength=strength)
        with pytest.raises(ValueError, match=r"`strength` is .*; it must be a number in 0\.\.1"):
            pipeline.refine_mask(MASK, strength)

    @pytest.mark.parametrize("steps", [0, 1.5, True])
    def test_steps(self, pipeline, steps):
        with pytest.raises(ValueError, match=r"`outline_steps` is .*; pass a whole number of at least 1"):
            pipeline(MASK, outline_strength=0.5, outline_steps=steps)
        with pytest.raises(ValueError, match=r"`num_inference_steps` is .*; pass a whole number of at least 1"):
            pipeline.refine_mask(MASK, 0.5, steps)

    @pytest.mark.parametrize("zero", [0, 0.0, np.float32(0), np.int64(0), torch.tensor(0.0)])
    def test_every_zero_is_exact(self, zero):
        assert pipeline_of(outline_model=None)(MASK, outline_strength=zero, generator=seeded()).label_maps is None

    def test_a_model_without_outlines(self):
        pipeline = pipeline_of(outline_model=None)
        for call in (lambda: pipeline(MASK, outline_strength=0.5), lambda: pipeline.refine_mask(MASK)):
            with pytest.raises(ValueError, match=r"has no `outline_model`, .* Add one, as docs/outlines.md shows"):
                call()

    def test_other_labels(self, pipeline):
        with pytest.raises(ValueError, match=r"`outline_model` has 5 labels, and label set 'four' has 4"):
            pipeline_of(outline_model=tiny_outlines(num_labels=5))
        with pytest.raises(ValueError, match=r"first that differs is 'bush' instead of 'tree'"):
            pipeline_of(outline_model=tiny_outlines(labels=("sky", "bush", "rock", "water")))

    def test_255_without_outlines_is_todays_error_and_names_the_way(self, pipeline):
        for mask in (HOLES, [MASK, HOLES]):
            with pytest.raises(ValueError, match=r"label ids \[255\]; .* filled with `outline_strength` above 0"):
                pipeline(mask)
        with pytest.raises(ValueError, match=r"label ids \[254\]; (?!.*outline_strength)"):
            pipeline(np.full(SIZE, 254))
        with pytest.raises(ValueError, match=r"label ids \[255\]; (?!.*outline_strength)"):
            pipeline_of(outline_model=None)(HOLES)

    def test_other_ids_stay_errors(self, pipeline):
        with pytest.raises(ValueError, match=r"label ids \[254\]"):
            pipeline.refine_mask(np.full(SIZE, 254))

    def test_a_soft_mask(self, pipeline):
        soft = torch.rand(1, 4, *SIZE)
        with pytest.raises(ValueError, match=r"`mask` is soft \(float\), which has no outlines"):
            pipeline(soft, outline_strength=0.5)

    def test_sizes_and_seeds_that_do_not_fit(self, pipeline):
        with pytest.raises(ValueError, match=r"`height` is 60; .* multiples of 32"):
            pipeline.refine_mask(MASK, height=60, width=64)
        with pytest.raises(ValueError, match=r"`generator` is a list of 2 for 1 masks"):
            pipeline.refine_mask(MASK, generator=[seeded(), seeded()])

    def test_255_that_is_a_class(self):
        taken = LabelSet("taken", (*LABELS.labels[:3], Label(255, "water", (1, 2, 3))))
        with pytest.raises(ValueError, match="255, which would stand for it, is the id of 'water'"):
            pipeline_of(taken).refine_mask(np.zeros(SIZE, int))
