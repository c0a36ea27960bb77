import json
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from diffusers.pipelines import pipeline_loading_utils
from diffusers.utils import load_image

import spade_hf
from spade_hf.images.inputs import instance_edges
from spade_hf.images.processor import SPADEImageProcessor
from spade_hf.labels.label_set import Label, LabelSet

from ..damaged_exif import damaged_exif, jpeg_with_damaged_exif


SKY, TREE = (10, 20, 200), (30, 110, 40)


@pytest.fixture
def processor() -> SPADEImageProcessor:
    """Three channels: sky 0, tree 1, unknown 255 -> 2."""
    labels = LabelSet(name="park", labels=(Label(0, "sky", SKY), Label(1, "tree", TREE)), unknown_id=255)
    return SPADEImageProcessor(label_set=labels)


@pytest.fixture
def without_unknown() -> SPADEImageProcessor:
    return SPADEImageProcessor(label_set=LabelSet(name="park", labels=(Label(0, "sky", SKY), Label(1, "tree", TREE))))


IDS = np.array([[0, 1, 255], [1, 1, 0]], dtype=np.uint8)
CHANNELS = [[0, 1, 2], [1, 1, 0]]
COLORS = np.array([[SKY, TREE, (0, 0, 0)], [TREE, TREE, SKY]], dtype=np.uint8)
RGBA = np.dstack([COLORS, np.where(IDS == 255, 0, 255).astype(np.uint8)])


def palette_image() -> PIL.Image.Image:
    image = PIL.Image.fromarray(IDS).convert("P")
    image.putdata(IDS.flatten().tolist())
    image.putpalette([7, 7, 7] * 256)  # the same color for each id: only the indices tell them apart
    return image


FORMS = {
    "L": PIL.Image.fromarray(IDS),
    "P": palette_image(),
    "I;16": PIL.Image.fromarray(IDS.astype(np.uint16)),
    "I": PIL.Image.fromarray(IDS.astype(np.int32)),
    "RGB": PIL.Image.fromarray(COLORS),
    "RGBA": PIL.Image.fromarray(RGBA),
    "array": IDS,
    "array of a batch": IDS[None].astype(np.int64),
    "array of colors": COLORS,
    "array of colors of a batch": COLORS[None],
    "array of colors and alpha": RGBA,
    "tensor": torch.from_numpy(IDS),
    "tensor of a batch": torch.from_numpy(IDS)[None].int(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_hard_form_gives_the_same_channels(processor: SPADEImageProcessor, form: str):
    mask = FORMS[form]
    if isinstance(mask, PIL.Image.Image):
        assert mask.mode == form
    channels = processor.preprocess_mask(mask)
    assert channels.dtype == torch.int64
    assert channels.tolist() == [CHANNELS]
    [ids] = processor.read_ids(mask)
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, IDS)


def test_masks_are_read_as_ids_at_their_own_sizes(processor: SPADEImageProcessor):
    assert [one.shape for one in processor.read_ids([IDS, IDS[:1]])] == [(2, 3), (1, 3)]
    with pytest.raises(ValueError, match="`mask` is soft .*give a hard one"):
        processor.read_ids(torch.ones(1, 3, 4, 4))


def test_a_list_of_all_forms_is_one_batch(processor: SPADEImageProcessor):
    assert processor.preprocess_mask(list(FORMS.values())).tolist() == [CHANNELS] * len(FORMS)


@pytest.mark.parametrize("form", ["L", "P", "I;16", "RGB", "RGBA"])
@pytest.mark.parametrize("as_type", [str, Path])
def test_files_keep_their_mode(processor: SPADEImageProcessor, tmp_path: Path, form: str, as_type: type):
    FORMS[form].save(tmp_path / "mask.png")
    assert processor.preprocess_mask(as_type(tmp_path / "mask.png")).tolist() == [CHANNELS]


@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS"])
def test_urls_are_not_fetched(processor: SPADEImageProcessor, scheme: str):
    address = f"{scheme}://127.0.0.1:1/mask.png"
    remedy = r"is a URL; load it first: `diffusers\.utils\.load_image\(url\)`, or download the file"
    with pytest.raises(ValueError, match=rf"^`mask` \({address}\) {remedy}"):
        processor.preprocess_mask(address)
    with pytest.raises(ValueError, match=rf"^`image\[1\]` \({address}\) {remedy}"):
        processor.preprocess_image([np.zeros((2, 2, 3), np.uint8), address])


def test_the_remedy_for_urls_keeps_ids(processor: SPADEImageProcessor, tmp_path: Path, monkeypatch):
    """What the message tells users to write, with the web server's answer from a file."""
    FORMS["P"].save(tmp_path / "mask.png")
    answer = SimpleNamespace(raw=tmp_path / "mask.png")
    monkeypatch.setattr("requests.get", lambda url, **options: answer)
    loaded = load_image("https://example.org/mask.png", convert_method=lambda image: image)
    assert processor.preprocess_mask(loaded).tolist() == [CHANNELS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_soft_masks_stay_soft(processor: SPADEImageProcessor, dtype: torch.dtype):
    segmap = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    result = processor.preprocess_mask(segmap, height=8, width=3)
    assert result.dtype == torch.float32
    expected = F.interpolate(segmap.float(), size=(8, 3), mode="nearest-exact")
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


@pytest.mark.parametrize("old", [(5, 7), (64, 48), (37, 256)])
@pytest.mark.parametrize("new", [(5, 7), (13, 3), (128, 96), (100, 333)])
def test_resizing_picks_the_pixels_that_pillow_picks(without_unknown, old: tuple[int, int], new: tuple[int, int]):
    ids = np.random.default_rng(0).integers(2, size=old)
    image = PIL.Image.fromarray(ids.astype(np.uint8)).resize(new[::-1], PIL.Image.Resampling.NEAREST)
    result = without_unknown.preprocess_mask(ids, height=new[0], width=new[1])
    np.testing.assert_array_equal(result[0], image)


def test_unlike_sizes_meet_at_the_size_asked_for(processor: SPADEImageProcessor):
    masks = [np.zeros((4, 4), np.uint8), np.ones((2, 8), np.uint8)]
    assert processor.preprocess_mask(masks, height=4, width=4).shape == (2, 4, 4)
    with pytest.raises(ValueError, match=r"`mask` holds sizes 4x4, 2x8 \(height x width\)"):
        processor.preprocess_mask(masks)


def test_tolerance_reads_soft_brushes(processor: SPADEImageProcessor):
    brush = RGBA.copy()
    brush[0, 0] = 11, 21, 201, 130
    brush[0, 1] = 30, 110, 40, 100  # less than half opaque: unknown
    assert processor.preprocess_mask(brush, color_tolerance=2).tolist() == [[[0, 2, 2], [1, 1, 0]]]
    with pytest.raises(ValueError, match="`mask` has 2 half-transparent pixels.*pass `color_tolerance=442` to"):
        processor.preprocess_mask(brush)


def test_transparent_pixels_need_an_unknown_label(without_unknown: SPADEImageProcessor):
    with pytest.raises(ValueError, match="1 transparent pixels, and label set 'park' has no unknown label"):
        without_unknown.preprocess_mask(RGBA)


def test_unknown_ids_name_their_file(processor: SPADEImageProcessor, tmp_path: Path):
    path = tmp_path / "street.png"
    PIL.Image.fromarray(np.array([[0, 13], [14, 1]], dtype=np.uint8)).save(path)
    expected = r"`mask\[1\]` \(.*street\.png\) has label ids \[13, 14\]; .* 0\.\.1 and 255 \(unknown\)"
    with pytest.raises(ValueError, match=expected):
        processor.preprocess_mask([IDS, path])


def test_off_palette_colors_are_an_error(processor: SPADEImageProcessor):
    colors = COLORS.copy()
    colors[0, 0] = 1, 2, 3
    with pytest.raises(ValueError, match=r"`mask` has 1 color off the palette .*\(1, 2, 3\) on 1 pixel"):
        processor.preprocess_mask(PIL.Image.fromarray(colors))


@pytest.mark.parametrize("content", [b"no image", b"", b"\x89PNG\r\n\x1a\n broken"])
def test_corrupt_files_are_named(processor: SPADEImageProcessor, tmp_path: Path, content: bytes):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"`mask` \(.*broken\.png\) cannot be read as an image"):
        processor.preprocess_mask(tmp_path / "broken.png")


def test_cut_off_files_are_named(processor: SPADEImageProcessor, tmp_path: Path):
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8)).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"`mask` \(.*cut\.png\) cannot be read as an image"):
        processor.preprocess_mask(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("nowhere.png", r"`mask` \(nowhere.png\) cannot be read as an image"),
        (7, "`mask` is a int; give a path, a PIL image"),
        ([], "`mask` is an empty list"),
        (PIL.Image.new("1", (2, 2)), "has the PIL mode '1', black and white, which has no ids"),
        (PIL.Image.new("CMYK", (2, 2)), "has the PIL mode 'CMYK'"),
        (np.zeros((2, 2), dtype=bool), "`mask` has dtype bool; ids are integers"),
        (np.zeros((2, 2)), r"`mask` has shape \(2, 2\); a float mask is \(N, 3, H, W\).*Ids must have an integer"),
        (np.zeros(4, dtype=np.uint8), r"`mask` has shape \(4,\); allowed are \(H, W\) and \(N, H, W\)"),
        (np.zeros((0, 4), dtype=np.uint8), "which holds no pixel"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.long), r"`mask` has shape \(1, 1, 2, 2\); allowed are \(H, W\)"),
        (torch.zeros(1, 4, 2, 2), r"shape \(1, 4, 2, 2\); a float mask is \(N, 3, H, W\).* none for edges"),
        (torch.full((1, 3, 2, 2), -1.0), r"values in \[-1, -1\]; weights are finite and 0 or more"),
        (torch.full((1, 3, 2, 2), float("nan")), "weights are finite"),
        (torch.full((1, 3, 2, 2), float("inf")), "weights are finite"),
        ([IDS, torch.zeros(1, 3, 2, 3)], "`mask` mixes soft masks"),
    ],
    ids=lambda value: str(value).partition(" at 0x")[0],
)
def test_other_forms_are_an_error(processor: SPADEImageProcessor, mask, message: str):
    with pytest.raises(ValueError, match=message):
        processor.preprocess_mask(mask)


@pytest.mark.parametrize("size", [{"height": 0}, {"width": -1}, {"height": 2.5}])
def test_sizes_are_checked(processor: SPADEImageProcessor, size: dict):
    with pytest.raises(ValueError, match=r"`(height|width)` is .*; it is a number of pixels"):
        processor.preprocess_mask(IDS, **size)


def test_edges_lie_on_both_sides_of_a_border():
    instances = torch.tensor([[[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1]]])
    expected = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]], dtype=torch.bool)  # no diagonal neighbors
    assert torch.equal(instance_edges(instances), expected)


def test_edges_are_those_of_the_definition():
    instances = torch.randint(3, (2, 9, 11), generator=torch.Generator().manual_seed(0))
    result = instance_edges(instances)
    for n, y, x in np.ndindex(2, 9, 11):
        neighbors = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [instances[n, v, u] for v, u in neighbors if 0 <= v < 9 and 0 <= u < 11]
        assert result[n, y, x] == any(other != instances[n, y, x] for other in inside)


def test_edges_are_found_after_resizing(processor: SPADEImageProcessor):
    instances = np.repeat([[1000, 40000]], 4, axis=0).repeat(4, axis=1).astype(np.uint16)  # 4x8, border in the middle
    edges = processor.preprocess_instance_map(PIL.Image.fromarray(instances), height=2, width=16)
    assert edges.dtype == torch.bool
    assert edges[0].nonzero().tolist() == [[0, 7], [0, 8], [1, 7], [1, 8]]


def test_colors_are_instances(processor: SPADEImageProcessor):
    colors = np.array([[(0, 0, 1), (0, 1, 0), (0, 1, 0), (0, 1, 0)]], dtype=np.uint8)
    assert processor.preprocess_instance_map(colors).tolist() == [[[True, True, False, False]]]


@pytest.mark.parametrize(
    ("instance_map", "message"),
    [
        (RGBA, "`instance_map` has an alpha channel"),
        (np.zeros((2, 2)), "`instance_map` has dtype float64"),
        ("nowhere.png", "`instance_map` .nowhere.png. cannot be read"),
    ],
    ids=str,
)
def test_other_instance_maps_are_an_error(processor: SPADEImageProcessor, instance_map, message: str):
    with pytest.raises(ValueError, match=message):
        processor.preprocess_instance_map(instance_map)


def test_preprocess_reads_masks_with_their_edges(processor: SPADEImageProcessor):
    with_edges = SPADEImageProcessor(label_set=processor.label_set, use_instance_edges=True)
    channels, edges = with_edges.preprocess([IDS, IDS], [IDS, np.zeros_like(IDS)], height=4, width=6)
    assert channels.shape == edges.shape == (2, 4, 6)
    assert edges[0].any() and not edges[1].any()
    channels, edges = processor.preprocess(IDS)
    assert channels.tolist() == [CHANNELS] and edges is None


def test_instance_maps_must_fit_their_masks(processor: SPADEImageProcessor):
    with_edges = SPADEImageProcessor(label_set=processor.label_set, use_instance_edges=True)
    with pytest.raises(ValueError, match=r"`instance_map` 0 is 4x6 and its `mask` is 2x3 \(height x width\)"):
        with_edges.preprocess(IDS, np.zeros((4, 6), np.uint8), height=8, width=8)
    with pytest.raises(ValueError, match="`instance_map` holds 2 maps for 1 masks"):
        with_edges.preprocess(IDS, np.zeros((2, 2, 3), np.int32))
    with pytest.raises(ValueError, match="`instance_map` is missing: .* zeros of the mask's size"):
        with_edges.preprocess(IDS)
    with pytest.raises(ValueError, match="`instance_map` was given, but this model has no instance edge channel"):
        processor.preprocess(IDS, IDS)


def test_every_form_of_image_gives_the_same_tensor(processor: SPADEImageProcessor, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    as_tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = [PIL.Image.fromarray(pixels), pixels, pixels[None], pixels / 255, as_tensor, as_tensor[None] / 255]
    images = processor.preprocess_image([*forms, tmp_path / "photo.png"])
    assert images.shape == (7, 3, 6, 5) and images.dtype == torch.float32
    expected = as_tensor.float() / 127.5 - 1
    torch.testing.assert_close(images, expected.expand_as(images), rtol=0, atol=1e-6)


def test_images_are_resized_as_pil_does_it(processor: SPADEImageProcessor):
    y, x = np.mgrid[0:50, 0:40]
    photo = PIL.Image.fromarray(np.stack([x * 6, y * 5, 255 * (x + y & 1)], axis=-1).astype(np.uint8))
    result = processor.preprocess_image(photo, size=(16, 12))
    expected = np.asarray(photo.resize((12, 16), PIL.Image.Resampling.BILINEAR)) / 127.5 - 1
    np.testing.assert_allclose(result[0].permute(1, 2, 0), expected, atol=1.5 / 127.5)  # PIL rounds, twice


def test_images_are_turned_upright(processor: SPADEImageProcessor, tmp_path: Path):
    photo = PIL.Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees
    photo.save(tmp_path / "phone.png", exif=exif)
    assert processor.preprocess_image(tmp_path / "phone.png").shape == (1, 3, 6, 4)


def test_masks_are_turned_upright(processor: SPADEImageProcessor, tmp_path: Path):
    """Once, by path and as a PIL image."""
    mask = PIL.Image.fromarray(np.zeros((4, 6), np.uint8))
    exif = mask.getexif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees
    mask.save(tmp_path / "phone.png", exif=exif)
    for form in (tmp_path / "phone.png", PIL.Image.open(tmp_path / "phone.png")):
        assert processor.preprocess_mask(form).shape == (1, 6, 4)
        assert processor.preprocess_instance_map(form).shape == (1, 6, 4)


@damaged_exif
def test_damaged_exif_tags_are_an_error_that_names_the_file(
    processor: SPADEImageProcessor, tmp_path: Path, error: str
):
    (tmp_path / "phone.jpg").write_bytes(jpeg_with_damaged_exif(error))
    for argument, read in (("mask", processor.preprocess_mask), ("image", processor.preprocess_image)):
        with pytest.raises(ValueError, match=rf"`{argument}` \(.*phone\.jpg\) cannot be read as an image: .* save it"):
            read(tmp_path / "phone.jpg")
        with pytest.raises(ValueError, match=rf"`{argument}` cannot be read as an image: .* damaged; save it again"):
            read(PIL.Image.open(tmp_path / "phone.jpg"))


def gray_16_bits(mode: str) -> tuple[PIL.Image.Image, np.ndarray]:
    """All of the 16-bit values, 256x256, and the image of them in a mode."""
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    return PIL.Image.frombytes(mode, (256, 256), values.astype(">u2" if mode == "I;16B" else "<u2").tobytes()), values


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_images_of_16_bits_keep_their_range(processor: SPADEImageProcessor, mode: str):
    image, values = gray_16_bits(mode)
    expected = torch.from_numpy(values / 65535 * 2 - 1).float().expand(1, 3, -1, -1)
    torch.testing.assert_close(processor.preprocess_image(image), expected, rtol=0, atol=1e-6)


def test_a_file_of_16_bits_keeps_its_range(processor: SPADEImageProcessor, tmp_path: Path):
    for name in ("satellite.png", "satellite.tif"):
        gray_16_bits("I;16")[0].save(tmp_path / name)
        pixels = processor.preprocess_image(tmp_path / name, size=(64, 64))
        assert (pixels > 0.999).float().mean() < 0.01
        assert -1 <= pixels.min() < -0.98


@pytest.mark.parametrize("mode", ["I", "F"])
def test_images_of_32_bits_are_refused(processor: SPADEImageProcessor, mode: str):
    with pytest.raises(ValueError, match=f"`image` has the PIL mode '{mode}': 32 bits.* Save it with 8 or 16 bits"):
        processor.preprocess_image(PIL.Image.new(mode, (4, 4)))


def test_numpys_integers_are_sizes(processor: SPADEImageProcessor):
    assert processor.preprocess_mask(IDS, height=np.int64(8), width=np.uint8(4)).shape == (1, 8, 4)
    assert processor.preprocess_image(np.zeros((2, 2, 3)), size=(np.int64(8), np.int64(4))).shape == (1, 3, 8, 4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2, 3), 2.0), r"`image` has values in \[2, 2\]; floats must be in \[0, 1\]"),
        (torch.full((3, 2, 2), -1.0), r"`image` has values in \[-1, -1\]"),
        (torch.full((3, 2, 2), float("nan")), "`image` has 12 values that are NaN and 0 that are infinite, of 12"),
        (np.zeros((2, 2, 3), np.int32), "`image` has dtype int32; allowed are uint8"),
        (np.zeros((2, 2, 3), object), "`image` has dtype object; allowed are uint8"),
        (torch.zeros(3, 2, 2, device="meta"), "`image` is a tensor without values or a sparse one"),
        (torch.zeros(3, 2, 2).to_sparse(), "`image` is a tensor without values or a sparse one"),
        (np.zeros((3, 2, 2), np.uint8), r"`image` has shape \(3, 2, 2\); an array is \(H, W, 3\)"),
        (torch.zeros(2, 2, 3), r"`image` has shape \(2, 2, 3\); a tensor is \(3, H, W\)"),
        (None, "`image` is a NoneType; give a path"),
        ([np.zeros((2, 2, 3)), np.zeros((4, 2, 3))], "`image` holds sizes 2x2, 4x2"),
    ],
    ids=str,
)
def test_other_images_are_an_error(processor: SPADEImageProcessor, image, message: str):
    with pytest.raises(ValueError, match=message):
        processor.preprocess_image(image)


def test_postprocess_undoes_preprocess_image(processor: SPADEImageProcessor):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
    images = processor.preprocess_image(pixels)
    as_pil = processor.postprocess(images)
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in as_pil]), pixels)
    np.testing.assert_allclose(processor.postprocess(images, "np"), pixels / 255, atol=1e-6)
    torch.testing.assert_close(processor.postprocess(images, "pt"), images / 2 + 0.5)
    assert processor.postprocess(images.bfloat16(), "pil")[0].size == (5, 6)
    with pytest.raises(ValueError, match="`output_type` is 'latent'; allowed are 'pil', 'np', 'pt'"):
        processor.postprocess(images, "latent")


def test_colorize_draws_the_palette(processor: SPADEImageProcessor):
    one_hot = F.one_hot(torch.tensor([CHANNELS]), 3).permute(0, 3, 1, 2).float()
    for mask in (IDS, one_hot):
        (image,) = processor.colorize(mask)
        np.testing.assert_array_equal(np.asarray(image), COLORS)


def test_saved_processors_come_back_equal(processor: SPADEImageProcessor, tmp_path: Path):
    SPADEImageProcessor(label_set=processor.label_set, use_instance_edges=True).save_pretrained(tmp_path / "sub")
    saved = json.loads((tmp_path / "sub" / "preprocessor_config.json").read_text())
    assert saved["_class_name"] == "SPADEImageProcessor"
    for loaded in (
        SPADEImageProcessor.from_pretrained(tmp_path / "sub"),
        SPADEImageProcessor.from_pretrained(str(tmp_path), subfolder="sub"),
    ):
        assert loaded.label_set == processor.label_set
        assert loaded.config.use_instance_edges is True
    replaced = SPADEImageProcessor.from_pretrained(tmp_path, subfolder="sub", use_instance_edges=False)
    assert replaced.config.use_instance_edges is False


def test_config_makes_an_equal_processor(processor: SPADEImageProcessor):
    again = SPADEImageProcessor.from_config(processor.config)
    assert again.label_set == processor.label_set
    assert dict(again.config) == dict(processor.config)


def test_goes_to_the_hub_and_back(processor: SPADEImageProcessor, hub):
    repo = f"{hub.user}/image-processor"
    processor.push_to_hub(repo, token=hub.token)
    assert SPADEImageProcessor.from_pretrained(repo, token=hub.token).label_set == processor.label_set


def test_is_a_component_that_diffusers_loads(processor: SPADEImageProcessor, tmp_path: Path, monkeypatch):
    # What the package's registration must do for a component that is no ModelMixin: name the class in both tables and
    # have it, like ModelMixin, as an attribute of the top-level module.
    methods = ["save_pretrained", "from_pretrained"]
    classes = {"ModelMixin": methods, "SPADEImageProcessor": methods}
    monkeypatch.setitem(pipeline_loading_utils.LOADABLE_CLASSES, "spade_hf", classes)
    monkeypatch.setitem(pipeline_loading_utils.ALL_IMPORTABLE_CLASSES, "SPADEImageProcessor", methods)
    monkeypatch.setattr(spade_hf, "SPADEImageProcessor", SPADEImageProcessor, raising=False)
    monkeypatch.setattr(spade_hf, "ModelMixin", diffusers.ModelMixin, raising=False)

    class Pipeline(diffusers.DiffusionPipeline):
        def __init__(self, image_processor: SPADEImageProcessor):
            super().__init__()
            self.register_modules(image_processor=image_processor)

    Pipeline(processor).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["image_processor"] == ["spade_hf", "SPADEImageProcessor"]
    assert Pipeline.from_pretrained(tmp_path).image_processor.label_set == processor.label_set


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_may_claim_many_pixels(processor: SPADEImageProcessor, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10**6)
    PIL.Image.new("L", (1001, 1000)).save(tmp_path / "large.png")
    for read in (processor.preprocess_mask, processor.preprocess_image):
        with pytest.raises(ValueError, match="has 1001x1000 pixels; at most 1 megapixels are read. Make it smaller"):
            read(tmp_path / "large.png")
