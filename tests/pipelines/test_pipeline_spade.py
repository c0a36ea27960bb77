"""The pipeline, on tiny random models."""

import pydoc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf.layers.sparse.path import SparsePath


SIZE, LATENT_DIM = 32, 16


def make_pipeline(
    *, latent_dim: int | None = LATENT_DIM, with_encoder: bool = True, use_instance_edges: bool = False
) -> SPADEPipeline:
    torch.manual_seed(0)
    generator = SPADEGenerator(
        num_labels=12,
        use_instance_edges=use_instance_edges,
        image_size=SIZE,
        base_channels=4,
        latent_dim=latent_dim,
        spade_hidden_channels=8,
        use_spectral_norm=False,
    )
    for parameter in generator.parameters():  # the recipe's small weights would paint everything gray
        torch.nn.init.normal_(parameter, std=0.1)
    encoder = None
    if with_encoder and latent_dim is not None:
        encoder = SPADEStyleEncoder(image_size=32, base_channels=4, channel_mult=(1, 2), latent_dim=latent_dim)
        for parameter in encoder.linear_mean.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"), use_instance_edges=use_instance_edges)
    pipeline = SPADEPipeline(generator, processor, encoder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def pipeline() -> SPADEPipeline:
    return make_pipeline()


@pytest.fixture(scope="module")
def masks() -> torch.Tensor:
    return torch.randint(0, 12, (2, SIZE, SIZE), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def style() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_default_output_is_one_pil_image_of_the_models_size(pipeline, masks):
    output = pipeline(masks[0], generator=seeded())
    assert [image.size for image in output.images] == [(SIZE, SIZE)]
    assert output.latents.shape == (1, LATENT_DIM)


def test_output_types(pipeline, masks):
    arrays = pipeline(masks, generator=seeded(), output_type="np").images
    tensors = pipeline(masks, generator=seeded(), output_type="pt").images
    assert arrays.shape == (2, SIZE, SIZE, 3) and tensors.shape == (2, 3, SIZE, SIZE)
    assert 0 <= arrays.min() and arrays.max() <= 1
    np.testing.assert_array_equal(arrays, tensors.movedim(1, -1).numpy())


def test_return_tuple(pipeline, masks):
    images, latents = pipeline(masks, generator=seeded(), output_type="pt", return_dict=False)
    output = pipeline(masks, generator=seeded(), output_type="pt")
    assert torch.equal(images, output.images) and torch.equal(latents, output.latents)


def test_seed_decides_the_style(pipeline, masks):
    first, again, other = (pipeline(masks[0], generator=seeded(seed), output_type="pt").images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_latents_reproduce_an_image(pipeline, masks):
    output = pipeline(masks[0], generator=seeded(3), output_type="pt")
    again = pipeline(masks[0], latents=output.latents, output_type="pt")
    assert torch.equal(output.images, again.images)


def test_style_image_takes_the_encoders_mean(pipeline, masks, style):
    output = pipeline(masks, style_image=style, output_type="pt")
    pixels = pipeline.image_processor.preprocess_image(style, size=(32, 32))
    with torch.no_grad():
        mean = pipeline.style_encoder(pixels).latent_dist.mode()
    torch.testing.assert_close(output.latents, mean.expand(2, -1))
    torch.testing.assert_close(output.images, pipeline(masks, latents=mean, output_type="pt").images)


def test_several_images_of_a_mask_lie_side_by_side(pipeline, masks):
    output = pipeline(masks, num_images_per_mask=3, generator=seeded(), output_type="pt")
    assert len(output.images) == 6
    alone = pipeline(masks[1], latents=output.latents[3:], output_type="pt").images
    torch.testing.assert_close(output.images[3:], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("num_masks", "num_images", "batch_size", "expected"),
    [
        (1, 8, 8, [(1, 8)]),
        (2, 3, 8, [(2, 6)]),
        (3, 2, 4, [(2, 4), (1, 2)]),
        (2, 3, 2, [(1, 2), (1, 1), (1, 2), (1, 1)]),
        (3, 1, 2, [(2, 2), (1, 1)]),
    ],
)
def test_the_generator_gets_a_mask_once_for_all_its_styles(
    masks, monkeypatch, num_masks, num_images, batch_size, expected
):
    """What every modulation reads: the mask's positions, counted through the pipeline and without it."""
    pipeline = make_pipeline()
    batches, reads = [], []
    pipeline.generator.register_forward_pre_hook(lambda _, inputs: batches.append(tuple(map(len, inputs))))
    forward = SparsePath._modulate

    def counted(self, x, mask, negative_slope):
        reads.append(mask.num_masks * x.shape[2] * x.shape[3])
        return forward(self, x, mask, negative_slope)

    monkeypatch.setattr(SparsePath, "_modulate", counted)
    label_map = torch.cat([masks, masks.flip(1)])[:num_masks]
    output = pipeline(
        label_map, num_images_per_mask=num_images, batch_size=batch_size, generator=seeded(), output_type="pt"
    )
    assert batches == expected
    in_pipeline, reads[:] = sum(reads), []
    alone = pipeline.generator(label_map, output.latents).images.detach() / 2 + 0.5
    assert in_pipeline == sum(reads) * sum(number for number, _ in expected) / num_masks
    torch.testing.assert_close(output.images, alone, atol=1e-5, rtol=0)


def test_several_styles_of_one_mask(pipeline, masks, style):
    styles = [style, style.transpose(Image.Transpose.ROTATE_180)]
    together = pipeline(masks[0], style_image=styles, output_type="pt").images
    alone = [pipeline(masks[0], style_image=one, output_type="pt").images for one in styles]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batch_size_does_not_change_the_images(pipeline, masks, batch_size):
    expected = pipeline(masks, num_images_per_mask=2, generator=seeded(), output_type="pt").images
    images = pipeline(masks, num_images_per_mask=2, generator=seeded(), output_type="pt", batch_size=batch_size).images
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(32, 64), (96, 32)])
def test_other_sizes(pipeline, masks, size):
    image = pipeline(masks[0], height=size[0], width=size[1], generator=seeded()).images[0]
    assert image.size == size[::-1]


@pytest.mark.parametrize(
    ("mask_size", "given", "expected"),
    [
        ((64, 24), {}, (64, 32)),  # the nearest that multiples of 32 come to 2.67 to 1 at about 1024 pixels
        ((50, 100), {}, (32, 64)),
        ((7, 7), {}, (32, 32)),
        ((100, 50), {"height": 128}, (128, 64)),
        ((100, 50), {"width": 128}, (256, 128)),
        ((100, 50), {"height": 32, "width": 64}, (32, 64)),
    ],
)
def test_an_image_keeps_its_masks_proportions(pipeline, mask_size, given, expected):
    mask = np.zeros(mask_size, dtype=np.uint8)
    image = pipeline(mask, generator=seeded(), **given).images[0]
    assert image.size == expected[::-1]


def test_masks_of_one_call_make_images_of_one_size(pipeline):
    tall, wide, near = (np.zeros(size, dtype=np.uint8) for size in ((64, 32), (32, 64), (66, 32)))
    with pytest.raises(
        ValueError, match=r"different proportions: .* 64x32, 32x64 .* Give `height` and `width`, or call"
    ):
        pipeline([tall, wide])
    assert [image.size for image in pipeline([tall, near]).images] == [(32, 64)] * 2
    assert [image.size for image in pipeline([tall, wide], height=32, width=32).images] == [(32, 32)] * 2


def test_forms_of_a_mask_give_the_same_image(pipeline, masks, tmp_path):
    palette = pipeline.image_processor.label_set.palette
    ids = masks[0].numpy().astype(np.uint8)
    Image.fromarray(ids).save(tmp_path / "ids.png")
    forms = {
        "array": ids,
        "image of ids": Image.fromarray(ids),
        "image in colors": Image.fromarray(palette[ids]),
        "path": str(tmp_path / "ids.png"),
        "one-hot": torch.nn.functional.one_hot(masks[:1], 12).movedim(-1, 1).float(),
    }
    z = torch.ones(1, LATENT_DIM)
    expected = pipeline(masks[0], latents=z, output_type="pt").images
    for form, mask in forms.items():
        torch.testing.assert_close(
            pipeline(mask, latents=z, output_type="pt").images, expected, atol=1e-5, rtol=0, msg=form
        )


def test_instance_edges_reach_the_image(masks):
    pipeline = make_pipeline(use_instance_edges=True)
    instances = torch.zeros(SIZE, SIZE, dtype=torch.int64)
    instances[8:24, 8:24] = 1
    z = torch.ones(1, LATENT_DIM)
    plain, edged = (
        pipeline(masks[0], instance_map=one, latents=z, output_type="pt").images
        for one in (torch.zeros_like(instances), instances)
    )
    assert not torch.allclose(plain, edged, atol=1e-4)


def test_model_without_latent_is_deterministic(masks):
    pipeline = make_pipeline(latent_dim=None)
    first, second = (pipeline(masks[0], generator=seeded(seed), output_type="pt") for seed in (0, 1))
    assert first.latents is None
    assert torch.equal(first.images, second.images)


def test_networks_are_set_to_evaluation():
    pipeline = make_pipeline()
    assert not pipeline.generator.training and not pipeline.style_encoder.training


def test_half_precision(masks):
    expected = make_pipeline()(masks, latents=torch.ones(2, LATENT_DIM), output_type="pt").images
    images = make_pipeline().to(torch.bfloat16)(masks, latents=torch.ones(2, LATENT_DIM), output_type="pt").images
    assert images.dtype == torch.float32
    assert (images - expected).abs().mean() < 0.02


def test_progress_bar_counts_batches_if_there_are_several(pipeline, masks, capsys):
    pipeline.set_progress_bar_config(disable=False)
    try:
        pipeline(masks, generator=seeded())
        assert capsys.readouterr().err == ""
        pipeline(masks, num_images_per_mask=2, generator=seeded(), batch_size=2)
    finally:
        pipeline.set_progress_bar_config(disable=True)
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 40}, r"`height` is 40; .* multiples of 32, such as 32"),
        ({"width": 0}, r"`width` is 0; .* multiples of 32"),
        ({"height": "64"}, r"`height` is '64'; pass a whole number, a multiple of 32"),
        ({"width": 64.0}, r"`width` is 64\.0; pass a whole number"),
        ({"num_images_per_mask": 0}, r"`num_images_per_mask` is 0; pass a whole number of at least 1"),
        ({"num_images_per_mask": 2.0}, r"`num_images_per_mask` is 2\.0; pass a whole number"),
        ({"num_images_per_mask": "2"}, r"`num_images_per_mask` is '2'; pass a whole number"),
        ({"num_images_per_mask": True}, r"`num_images_per_mask` is True; pass a whole number"),
        ({"batch_size": 0}, r"`batch_size` is 0; pass a whole number of at least 1"),
        ({"batch_size": None}, r"`batch_size` is None; pass a whole number"),
        ({"color_tolerance": "5"}, r"`color_tolerance` is '5'; pass a number"),
        ({"output_type": "latent"}, r"`output_type` is 'latent'; allowed are 'pil', 'np' and 'pt'"),
        ({"latents": torch.zeros(1, 7)}, r"`latents` has shape \(1, 7\); this model takes \(M, 16\)"),
        ({"latents": torch.zeros(0, LATENT_DIM)}, r"`latents` has shape \(0, 16\); .* with M at least 1"),
        ({"latents": np.zeros((2, LATENT_DIM))}, r"`latents` is a ndarray; pass a tensor \(M, 16\)"),
        ({"latents": torch.full((2, LATENT_DIM), float("nan"))}, r"`latents` has values that are NaN or infinite"),
        ({"latents": torch.full((2, LATENT_DIM), float("inf"))}, r"`latents` has values that are NaN or infinite"),
        ({"generator": 3}, r"`generator` is 3; pass a `torch.Generator`, such as"),
        ({"generator": [0, 1]}, r"`generator` is \[0, 1\]; pass a `torch.Generator`, such as"),
        ({"generator": [torch.Generator()] * 3}, r"`generator` is a list of 3 for 2 images; give one for each"),
        ({"latents": torch.zeros(3, LATENT_DIM)}, r"3 styles were given for 2 masks; give one, or one for each"),
        ({"instance_map": torch.zeros(2, SIZE, SIZE).long()}, r"`instance_map` was given, but this model has no"),
    ],
)
def test_bad_arguments(pipeline, masks, arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline(masks, **arguments)


def test_style_and_latents_exclude_each_other(pipeline, masks, style):
    with pytest.raises(ValueError, match="`style_image` and `latents` were both given"):
        pipeline(masks, style_image=style, latents=torch.zeros(1, LATENT_DIM))


def test_several_images_in_one_style_are_refused(pipeline, masks, style):
    with pytest.raises(ValueError, match="`style_image` fixes the style: all images would be the same"):
        pipeline(masks, style_image=style, num_images_per_mask=2)


def test_style_without_encoder(masks, style):
    with pytest.raises(ValueError, match="no style encoder. Leave it out, or pass `latents`"):
        make_pipeline(with_encoder=False)(masks, style_image=style)


@pytest.mark.parametrize("arguments", [{"num_images_per_mask": 2}, {"latents": torch.zeros(1, LATENT_DIM)}])
def test_style_without_latent(masks, arguments):
    with pytest.raises(ValueError, match="this model has no latent: it generates one image per mask"):
        make_pipeline(latent_dim=None)(masks, **arguments)


def test_missing_instance_map(masks):
    with pytest.raises(ValueError, match="`instance_map` is missing"):
        make_pipeline(use_instance_edges=True)(masks)


def test_unknown_ids(pipeline):
    with pytest.raises(ValueError, match=r"`mask` has label ids \[13, 14\]; .* knows ids 0\.\.11"):
        pipeline(torch.tensor([[13, 14], [0, 1]]))


def test_components_must_agree(pipeline):
    with pytest.raises(ValueError, match="`num_labels` is 12 in the generator and 35 in the image processor"):
        SPADEPipeline(pipeline.generator, SPADEImageProcessor(label_set=LabelSet.from_name("cityscapes")))
    encoder = SPADEStyleEncoder(image_size=32, base_channels=4, channel_mult=(1, 2), latent_dim=8)
    with pytest.raises(ValueError, match="`latent_dim` is 16 in the generator and 8 in the style encoder"):
        SPADEPipeline(pipeline.generator, pipeline.image_processor, encoder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("model_index.json", '{"_class_name": "SPADEPipeline", "generator": []}', "has a bad index: "),
        ("model_index.json", '{"_class_name": "SPADEPipeline", "generator": [7, 7]}', "has a bad index: "),
        ("model_index.json", '{"_class_name": "SPADEPipeline", "generator": ["spade_hf", null]}', "has a bad index: "),
        ("model_index.json", '{"_class_name": "SPADEPipeline", "style_encoder": [null, "X"]}', "has a bad index: "),
        (
            "model_index.json",
            '{"_class_name": "SPADEPipeline", "generator": "x"}',
            "has a bad index: `generator` is 'x'",
        ),
        ("model_index.json", '{"generator": ["spade_hf", "SPADEGenerator"]}', "bad index: it lacks `_class_name`"),
        ("model_index.json", '{"_class_name": []}', r"bad index: `_class_name` is '\[\]', not the name of a class"),
        ("model_index.json", '{"_class_name": {"a": 1}}', "bad index: `_class_name` is "),
        ("model_index.json", "[1]", r"has a bad index: it is '\[1\]', not an object"),
        ("model_index.json", "[" * 100_000, "has a damaged model_index.json: it is nested too deeply"),
        (
            "image_processor/preprocessor_config.json",
            '"alice/other"',
            "has a preprocessor_config.json without `label_set`",
        ),
        ("image_processor/preprocessor_config.json", "{}", "has a preprocessor_config.json without `label_set`"),
    ],
)
def test_damaged_files_of_a_pipeline(pipeline, tmp_path, file, text, message):
    pipeline.save_pretrained(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        SPADEPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["./street_model", "street_model", "models/street/final", Path("street_model")])
def test_a_folder_that_does_not_exist(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street_models").mkdir()
    with pytest.raises(
        ValueError, match=r"`pretrained_model_name_or_path` is .*, which is neither a folder nor a Hub"
    ):
        SPADEPipeline.from_pretrained(name)
    with pytest.raises(ValueError, match="a folder without model_index.json, so it is not a saved pipeline"):
        SPADEPipeline.from_pretrained(tmp_path / "street_models")


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("alice/nowhere", {}, "401 Client Error"),
        ("alice/hidden", {}, "401 Client Error"),
        ("alice/shown", {"revision": "v9"}, "404 Client Error.*Invalid rev id"),
        ("alice/nowhere", {"local_files_only": True}, "local"),
    ],
)
def test_the_hubs_own_reason_is_given(hub, pipeline, name, arguments, reason):
    pipeline.push_to_hub("shown", token=hub.token)
    pipeline.push_to_hub("hidden", token=hub.token, private=True)
    with pytest.raises(
        ValueError, match=rf"(?s)is {name}: there is no such folder\. The Hub does not return .*{reason}"
    ):
        SPADEPipeline.from_pretrained(name, **arguments)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_seed_is_the_same_style_in_every_type(masks, dtype):
    latents = make_pipeline().to(dtype)(masks, generator=seeded(3)).latents
    expected = torch.randn(2, LATENT_DIM, generator=torch.Generator().manual_seed(3))
    assert latents.dtype == dtype
    assert torch.equal(latents, expected.to(dtype))


def test_a_generator_for_each_image(pipeline, masks):
    together = pipeline(masks, generator=[seeded(0), seeded(1)], output_type="pt").images
    alone = [pipeline(masks[i], generator=seeded(i), output_type="pt").images for i in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


def test_help_shows_an_example_and_readable_types():
    text = pydoc.render_doc(SPADEPipeline.__call__, renderer=pydoc.plaintext)
    signature = text[: text.index("Generate images from masks.")]  # since Python 3.13 a line for each argument
    assert "mask: 'ImageInput | None'" in signature and "numpy.ndarray" not in signature
    for heading in ("Args:", "Returns:", "Raises:", "Examples:"):
        assert f"    {heading}" in text
