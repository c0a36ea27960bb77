"""Tiny networks as ONNX files, run by onnxruntime and compared with torch.

Tracing takes seconds: what several tests look at is a fixture of the module.
"""

import json

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process

from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.export import (
    TOLERANCE,
    export_generator,
    export_outline_model,
    export_segmenter,
    export_style_encoder,
    generator_difference,
    outline_model_difference,
    random_label_maps,
    save_onnx,
    segmenter_difference,
    style_encoder_difference,
)
from spade_hf.export.neighborhoods import distinct_neighborhoods
from spade_hf.export.onnx_file import to_8_bits
from spade_hf.export.verification import graph_inputs, open_session
from spade_hf.labels.label_set import Label, LabelSet
from spade_hf.layers.sparse.neighborhoods import LabelNeighborhoods

from ..tiny_networks import (
    LATENT_DIM,
    NUM_LABELS,
    random_latents,
    tiny_concatenation,
    tiny_generator,
    tiny_outlines,
    tiny_pix2pixhd,
    tiny_segmenter,
    tiny_style_encoder,
)


IDS = (0, 3, 7, 200)
NAMES = ("sky", "tree", "rock", "water")
LABELS = LabelSet("four", tuple(Label(number, name, (number,) * 3) for number, name in zip(IDS, NAMES, strict=True)))
WITH_UNKNOWN = LabelSet("four", LABELS.labels, unknown_id=255)


def pipeline_of(generator, label_set=LABELS, **networks):
    processor = SPADEImageProcessor(label_set=label_set, use_instance_edges=generator.config.use_instance_edges)
    return SPADEPipeline(image_processor=processor, generator=generator, **networks)


def label_map(size, batch_size=1, num_channels=NUM_LABELS):
    (one,) = random_label_maps(num_channels, [size], batch_size=batch_size)
    return one


@pytest.fixture(scope="module")
def pipeline():
    return pipeline_of(tiny_generator(), style_encoder=tiny_style_encoder())


@pytest.fixture(scope="module")
def model(pipeline):
    return export_generator(pipeline)


@pytest.fixture(scope="module")
def sparse_model(pipeline):
    return export_generator(pipeline, size=(64, 96), modulation="sparse")


@pytest.fixture(scope="module", params=["1x1", "cat"])
def frozen(request):
    """A pipeline, and its model of a frozen size."""
    makers = {"1x1": lambda: tiny_generator(spade_kernel_size=1), "cat": tiny_concatenation}
    pipeline = pipeline_of(makers[request.param]())
    return pipeline, export_generator(pipeline, size=(64, 96))


def test_any_batch_and_size(pipeline, model):
    session = open_session(model)
    assert [(one.name, one.type) for one in session.get_inputs()] == [
        ("label_ids", "tensor(int64)"),
        ("latents", "tensor(float)"),
    ]
    assert [one.name for one in session.get_outputs()] == ["images"]
    for batch_size, size in ((1, (64, 64)), (3, (32, 96)), (2, (128, 64))):  # 64x64 is the model's own
        labels, latents = label_map(size, batch_size), random_latents(batch_size)
        (images,) = session.run(None, {"label_ids": np.array(IDS)[labels], "latents": latents.numpy()})
        with torch.no_grad():
            expected = pipeline.generator(labels, latents).images
        assert expected.std() > 0.1
        torch.testing.assert_close(torch.from_numpy(images), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("labels", [LABELS, None], ids=["beside labels", "alone"])
def test_a_condition_is_an_input(labels):
    """Of any batch and size; the metadata say how its numbers and those of images are scaled."""
    generator = tiny_generator(num_labels=0 if labels is None else NUM_LABELS, condition_channels=2, image_channels=1)
    options = {"condition_channels": 2, "condition_range": (0, 80), "image_channels": 1, "value_range": (-5, 5)}
    pipeline = SPADEPipeline(generator, SPADEImageProcessor(label_set=labels, **options))
    model = export_generator(pipeline)
    session = open_session(model)
    names = ["label_ids"] * (labels is not None) + ["latents", "condition"]
    assert [one.name for one in session.get_inputs()] == names
    assert session.get_inputs()[-1].shape[1] == 2
    metadata = session.get_modelmeta().custom_metadata_map
    for name, value in options.items():
        assert json.loads(metadata[name]) == (list(value) if isinstance(value, tuple) else value)
    assert len(json.loads(metadata["labels"])) == (0 if labels is None else NUM_LABELS)
    maps = [label_map((64, 96), 2), label_map((128, 64))]
    assert generator_difference(model, pipeline, maps, dtype="float32") < TOLERANCE
    with pytest.raises(ValueError, match="`modulation` is 'sparse', but this model reads a condition"):
        export_generator(pipeline, modulation="sparse")


@pytest.mark.parametrize(
    "generator",
    [
        tiny_generator(use_instance_edges=True, use_unknown_label=True, norm_type="instance"),
        tiny_generator(latent_dim=None, num_upsampling_layers=6, head_upsampling=2, image_size=128),
        tiny_pix2pixhd(),
    ],
    ids=["edges", "without-latent-half-size-head", "pix2pixhd"],
)
def test_every_kind_of_model(generator):
    pipeline = pipeline_of(generator, WITH_UNKNOWN if generator.config.use_unknown_label else LABELS)
    num_channels = pipeline.image_processor.label_set.num_channels
    masks = random_label_maps(num_channels, [(128, 256), (256, 128)])
    assert generator_difference(export_generator(pipeline), pipeline, masks, dtype="float32") < TOLERANCE


def test_models_of_a_frozen_size(frozen):
    pipeline, model = frozen
    assert [one.shape for one in open_session(model).get_inputs()] == [[1, 64, 96], [1, LATENT_DIM]]
    assert generator_difference(model, pipeline, [label_map((64, 96))], dtype="float32") < TOLERANCE


def test_a_difference_is_seen(pipeline, model):
    other = pipeline_of(tiny_generator(seed=5))
    assert generator_difference(model, other, [label_map((64, 64))], dtype="float32") > TOLERANCE


def test_a_size_that_does_not_fit(pipeline):
    with pytest.raises(ValueError, match="`size` is 64x100 .* multiples of 32 .*such as 64x96"):
        export_generator(pipeline, size=(64, 100))


def test_half_precision_halves_the_file_and_keeps_float32_arithmetic(pipeline, model):
    half = export_generator(pipeline, size=(64, 64), dtype="float16")
    assert half.ByteSize() < 0.6 * model.ByteSize()
    mask = label_map((64, 64))
    assert generator_difference(half, pipeline, [mask], dtype="float16") < TOLERANCE
    assert generator_difference(half, pipeline, [mask], dtype="float32") > TOLERANCE / 10  # they are rounded
    onnx.checker.check_model(half)


@pytest.mark.parametrize("modulation", ["dense", "sparse"])
def test_8_bits_quarter_the_file_and_keep_float32_arithmetic(modulation, pipeline):
    generator = tiny_generator(base_channels=16, latent_dim=None, seed=2)  # most bytes are weights
    pipeline, mask = pipeline_of(generator), label_map((64, 64))
    options = {"size": (64, 64), "modulation": modulation}
    sizes = {dtype: export_generator(pipeline, dtype=dtype, **options).ByteSize() for dtype in ("float32", "int8")}
    assert sizes["int8"] < 0.4 * sizes["float32"]
    model = export_generator(pipeline, dtype="int8", **options)
    onnx.checker.check_model(model)
    assert generator_difference(model, pipeline, [mask], dtype="int8") < TOLERANCE
    assert generator_difference(model, pipeline, [mask], dtype="float32") > TOLERANCE  # they are rounded


def test_rounding_to_8_bits():
    weight = np.random.default_rng(0).normal(size=(5, 4, 3, 3)).astype(np.float32) * np.float32(1e-4)
    weight[3] = 0
    numbers, scales = to_8_bits(weight)
    assert numbers.dtype == np.int8 and scales.shape == (5, 1, 1, 1) and scales.dtype == np.float32
    assert (np.abs(numbers.astype(int)).max(axis=(1, 2, 3)) == [127, 127, 127, 0, 127]).all()
    rounded = numbers * scales
    assert (np.abs(rounded - weight) <= 0.51 * scales).all()
    for one, axis in ((rounded, 0), (rounded.reshape(5, -1).T, -1)):  # rounding it again changes nothing
        again, same = to_8_bits(one, axis)
        np.testing.assert_array_equal(again * same, one)


def test_a_weight_beyond_half_precision():
    generator = tiny_generator(use_spectral_norm=False)
    with torch.no_grad():
        generator.conv_out.weight[0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match=r"conv_out\.weight is too large for float16\. Export float32"):
        export_generator(pipeline_of(generator), dtype="float16")


def test_metadata_name_the_labels_and_no_path_of_this_machine(model):
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    labels = json.loads(metadata["labels"])
    assert [(label["id"], label["name"]) for label in labels] == list(zip(IDS, NAMES, strict=True))
    assert json.loads(metadata["image_size"]) == [64, 64] and json.loads(metadata["size_divisor"]) == 32
    assert b"site-packages" not in model.SerializeToString() and b".py" not in model.SerializeToString()


def assert_prepared(model, folder, *, auto_merge=False):
    """onnxruntime's preparation for quantization, whose shape inference reads constants only if they are tensors."""
    save_onnx(model, folder / "model.onnx")
    quant_pre_process(folder / "model.onnx", folder / "prepared.onnx", auto_merge=auto_merge)
    inputs = graph_inputs(open_session(model), LABELS, label_map((64, 96)), random_latents(1))
    (expected,) = open_session(model).run(None, inputs)
    (images,) = open_session(onnx.load(folder / "prepared.onnx")).run(None, inputs)
    np.testing.assert_allclose(images, expected, atol=TOLERANCE)


def test_onnxruntime_prepares_a_file_of_any_size_for_quantization(model, tmp_path):
    assert_prepared(model, tmp_path, auto_merge=True)


def test_onnxruntime_prepares_a_file_of_a_frozen_size_for_quantization(frozen, tmp_path):
    assert_prepared(frozen[1], tmp_path)


def test_onnxruntime_prepares_a_sparse_file_for_quantization(sparse_model, tmp_path):
    assert_prepared(sparse_model, tmp_path)


def test_the_style_encoder(pipeline):
    for dtype in ("float32", "float16"):
        model = export_style_encoder(pipeline, dtype=dtype)
        assert style_encoder_difference(model, pipeline, dtype=dtype) < TOLERANCE
    with pytest.raises(ValueError, match="has no style encoder"):
        export_style_encoder(pipeline_of(tiny_generator()))


def test_the_outline_model():
    network = tiny_outlines(block_out_channels=(8, 8, 8, 16), labels=NAMES)  # four levels: sides are padded to 16
    generator = tiny_generator(use_unknown_label=True)
    labels = LabelSet("five", (Label(1, "?", (1, 1, 1)), *LABELS.labels), unknown_id=1)
    pipeline = pipeline_of(generator, labels, outline_model=network)
    model = export_outline_model(pipeline, dtype="float16")
    onnx.checker.check_model(model)
    assert model.ByteSize() < 2.2 * network.num_parameters() + 100_000  # bytes of weights, and of the graph
    assert outline_model_difference(model, pipeline, dtype="float16") < TOLERANCE
    assert outline_model_difference(model, pipeline, dtype="float32") > TOLERANCE / 10  # the file's are rounded
    other = pipeline_of(generator, labels, outline_model=tiny_outlines(seed=5))
    assert outline_model_difference(model, other, dtype="float16") > 0.01

    session = open_session(model)
    assert [(one.name, one.type) for one in session.get_inputs()] == [
        ("noisy_map", "tensor(float)"),
        ("label_map", "tensor(int64)"),
        ("log_snr", "tensor(float)"),
    ]
    for batch_size, size in ((1, (8, 8)), (2, (40, 16)), (3, (64, 48))):
        inputs = {
            "noisy_map": np.zeros((batch_size, 4, *size), np.float32),
            "label_map": np.full((batch_size, *size), 4),
            "log_snr": np.zeros(batch_size, np.float32),
        }
        assert session.run(["logits"], inputs)[0].shape == (batch_size, 4, *size)
    metadata = session.get_modelmeta().custom_metadata_map
    assert [(one["id"], one["name"]) for one in json.loads(metadata["labels"])] == list(zip(IDS, NAMES, strict=True))
    levels = {name: json.loads(metadata[name]) for name in ("num_labels", "min_log_snr", "max_log_snr")}
    assert levels == {"num_labels": 4, "min_log_snr": -12, "max_log_snr": 4}
    assert json.loads(metadata["size_divisor"]) == 8
    with pytest.raises(ValueError, match="has no outline model"):
        export_outline_model(pipeline_of(tiny_generator()))


def test_the_segmenter():
    network = tiny_segmenter(labels=NAMES)
    generator = tiny_generator(use_unknown_label=True)
    labels = LabelSet("five", (Label(1, "?", (1, 1, 1)), *LABELS.labels), unknown_id=1)
    pipeline = pipeline_of(generator, labels, segmenter=network)
    model = export_segmenter(pipeline, dtype="float16")
    onnx.checker.check_model(model)
    assert model.ByteSize() < 2.2 * network.num_parameters() + 100_000  # bytes of weights, and of the graph
    assert segmenter_difference(model, pipeline, dtype="float16") < TOLERANCE
    other = pipeline_of(generator, labels, segmenter=tiny_segmenter(seed=5))
    assert segmenter_difference(model, other, dtype="float16") > 0.01

    session = open_session(model)
    assert [(one.name, one.type) for one in session.get_inputs()] == [("images", "tensor(float)")]
    for batch_size, size in ((1, (32, 32)), (2, (96, 64)), (1, (256, 352))):
        images = torch.rand(batch_size, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        (found,) = session.run(["probabilities"], {"images": images.numpy()})
        assert found.shape == (batch_size, 4, size[0] // 4, size[1] // 4)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert [(one["id"], one["name"]) for one in json.loads(metadata["labels"])] == list(zip(IDS, NAMES, strict=True))
    assert json.loads(metadata["image_size"]) == 64 and json.loads(metadata["size_divisor"]) == 32
    with pytest.raises(ValueError, match="has no segmenter"):
        export_segmenter(pipeline_of(tiny_generator()))


def test_an_id_of_no_label_paints_as_no_label_does(pipeline, model):
    labels, latents = label_map((64, 64)), random_latents(1)
    ids = np.array(IDS)[labels]
    ids[:, :8] = 99
    segmap = torch.nn.functional.one_hot(labels, NUM_LABELS).movedim(-1, 1).float()
    segmap[:, :, :8] = 0
    (images,) = open_session(model).run(None, {"label_ids": ids, "latents": latents.numpy()})
    with torch.no_grad():
        expected = pipeline.generator(segmap, latents).images
    torch.testing.assert_close(torch.from_numpy(images), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("generator", "dtype"),
    [
        (
            tiny_generator(
                use_instance_edges=True,
                use_unknown_label=True,
                spade_kernel_size=5,
                norm_type="instance",
                head_upsampling=2,
                image_size=128,
            ),
            "float16",
        ),
        pytest.param(
            tiny_generator(latent_dim=None, use_instance_edges=True, num_upsampling_layers=6, spade_kernel_size=1),
            "float16",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["5x5", "without-latent"],
)
def test_sparse_modulation_says_the_same(generator, dtype):
    pipeline = pipeline_of(generator, WITH_UNKNOWN if generator.config.use_unknown_label else LABELS)
    num_channels = pipeline.image_processor.label_set.num_channels
    masks = random_label_maps(num_channels, [(64, 128), (192, 128)])
    model = export_generator(pipeline, modulation="sparse", dtype=dtype)
    assert generator_difference(model, pipeline, masks, dtype=dtype) < TOLERANCE


def test_sparse_modulation_paints_one_mask_in_many_styles(pipeline, sparse_model):
    session = open_session(sparse_model)
    labels, latents = label_map((64, 96)), random_latents(3)
    assert {one.shape[0] for one in session.get_inputs() if one.name == "positions_1"} == {64}
    (images,) = session.run(None, graph_inputs(session, LABELS, labels, latents))
    with torch.no_grad():
        expected = pipeline.generator(labels, latents).images
    torch.testing.assert_close(torch.from_numpy(images), expected, atol=TOLERANCE, rtol=0)


def test_what_has_no_spade_layers_is_dense_only():
    with pytest.raises(
        ValueError, match="`modulation` is 'sparse', but Pix2PixHDGenerator is not made of SPADE layers"
    ):
        export_generator(pipeline_of(tiny_pix2pixhd()), modulation="sparse")


@pytest.mark.parametrize("num_codes", [4, 300])
def test_neighborhoods_are_the_library_s(num_codes):
    codes = np.random.default_rng(0).integers(num_codes, size=(9, 7)).repeat(5, 0).repeat(6, 1)
    patches, neighborhoods, positions = distinct_neighborhoods(codes, num_codes=num_codes, kernel_size=3)
    ours = LabelNeighborhoods.from_codes(torch.from_numpy(codes)[None], num_codes=num_codes, kernel_size=3)
    assert (len(patches), len(neighborhoods)) == (ours.num_patches, ours.num_neighborhoods)
    shown, expected = patches[neighborhoods][positions], ours.codes[ours.patch_codes[ours.patches]][ours.index[0]]
    assert np.array_equal(shown, expected.numpy())
