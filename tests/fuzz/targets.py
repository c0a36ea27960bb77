"""What is read from outside, each with the inputs that spoil it."""

import contextlib
import functools
import io
import json
import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image
import tifffile
import torch

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline, convert_nvlabs_checkpoint
from spade_hf.conversion import convert_nvlabs_discriminator
from spade_hf.data.image_files import FileImage, decode_labels
from spade_hf.data.pair_reader import is_soft
from spade_hf.demo.handlers import Handlers
from spade_hf.demo.painter import Painter, Style, Styles
from spade_hf.demo.scene import Scene
from spade_hf.demo.uploads import read_mask, read_photo, read_style_image
from spade_hf.labels.class_tables import load_class_table
from spade_hf.labels.colors import voc_color
from spade_hf.models.transformers_segmenter import match_labels
from spade_hf_cli import main

from .. import public_reference
from ..tiny_networks import tiny_generator, tiny_style_encoder
from .fuzzing import Failure, Target
from .mutations import NUMBERS, VALUES, bytes_from, json_from, text_from, value_from


MODES = ("L", "L", "P", "RGB", "RGBA", "I;16", "I", "1", "LA", "CMYK", "F")
FORMATS = {"PNG": MODES, "JPEG": ("L", "RGB", "CMYK"), "GIF": ("L", "P", "RGB"), "WEBP": ("RGB", "RGBA")}
FORMATS |= {
    "BMP": ("L", "P", "RGB", "1"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "TIFF": (*MODES, "I;16B"),
    "PPM": ("L", "RGB"),
    "ICO": ("RGBA",),
    "TGA": ("RGB",),
}
DTYPES = ["uint8", "int8", "int16", "uint16", "int64", "uint64", "float16", "float32", "float64", "bool", "complex64"]
DTYPES += ["U1", "O", "M8[s]", ">i4", ">f4", "longdouble"]
STRANGE_KEYS = [7, None, "x", "layer9.0.weight", "head_0.", "a.b.c", "up_9.conv_0.weight"]
STRANGE_KEYS += ["discriminator_999999999.model0.0.weight", "discriminator_0.model99999999.0.weight"]
LANDSCAPES = LabelSet.from_name("landscapes")
LABEL_SETS = (LANDSCAPES, LabelSet.from_name("ade20k"), LabelSet.from_name("cityscapes"), LabelSet.anonymous(3, True))


def pixels(random: Random, mode: str, label_set: LabelSet = LANDSCAPES) -> PIL.Image.Image:
    """A small image of a mode, often with ids or colors of the label set."""
    rng = np.random.default_rng(random.getrandbits(32))
    shape = (random.choice([1, 2, 31, 64]), random.choice([1, 3, 32, 64]))
    ids = np.array(label_set.ids)[rng.integers(0, min(len(label_set.ids), 9), shape)]
    if random.random() < 0.2:
        ids = rng.integers(0, 2**16, shape)
    if mode == "RGB" and random.random() < 0.2:  # ids in all channels, or in the red one
        channels = ids.astype(np.uint8)[..., None] * np.array(random.choice([(1, 1, 1), (1, 0, 0)]), np.uint8)
        return PIL.Image.fromarray(channels)
    if mode in ("RGB", "RGBA"):
        known = np.isin(ids, label_set.ids).all()
        colors = label_set.colorize(ids) if known else rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
        alpha = np.where(rng.random(shape) < 0.1, random.choice([0, 100, 255]), 255).astype(np.uint8)
        return PIL.Image.fromarray(np.dstack([colors, alpha]) if mode == "RGBA" else colors)
    if mode.startswith("I;16"):
        return PIL.Image.fromarray(ids.astype(np.uint16))
    if mode in ("I", "F"):
        return PIL.Image.fromarray(ids.astype({"I": np.int32, "F": np.float32}[mode]))
    image = PIL.Image.fromarray((ids % 256).astype(np.uint8))
    if mode == "P":
        image = image.convert("P")
        reordered = rng.permutation(label_set.palette[:256])
        reordered[rng.integers(0, len(reordered), 2)] = rng.integers(0, 256, 3)  # stray colors
        voc = np.array([voc_color(index) for index in range(256)], np.uint8)
        palettes = [label_set.palette.tobytes()[:768], bytes(30), rng.bytes(768), reordered.tobytes(), voc.tobytes()]
        image.putpalette(random.choice(palettes))
        return image
    return image if mode == "L" else image.convert(mode)


def gray_map(random: Random) -> bytes:
    """A portable map of an odd white, which no writer here makes."""
    white = random.choice([1, 2, 3, 15, 254, 255, 256, 4095, 65535])
    return b"P2 4 1 %d %d %d 0 1" % (white, random.randrange(white + 1), white)


def image_bytes(random: Random, label_set: LabelSet = LANDSCAPES) -> bytes:
    """An image's file, spoiled in nine of ten cases."""
    if random.random() < 0.03:
        return random.choice([gray_map(random), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n"])
    kind = random.choice([kind for kind in FORMATS if kind in PIL.Image.registered_extensions().values()])
    options: dict[str, Any] = {}
    if kind == "WEBP":
        options["lossless"] = random.random() < 0.5
    if kind in ("PNG", "GIF") and random.random() < 0.1:
        options["transparency"] = random.choice([0, 1, 255])
    if random.random() < 0.2:
        exif = PIL.Image.Exif()
        exif[0x0112], exif[0x010E] = random.randrange(10), "text"
        options["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    try:
        pixels(random, random.choice(FORMATS[kind]), label_set).save(buffer, kind, **options)
    except (OSError, TypeError, ValueError):  # a mode or an option that this format does not write
        return image_bytes(random, label_set)
    data = buffer.getvalue()
    return data if random.random() < 0.1 else bytes_from(random, data)


def array(random: Random) -> Any:
    """Anything that could be handed over as a mask or an image."""
    choice = random.randrange(10)
    if choice == 0:
        return random.choice(
            [*VALUES, object(), b"x", {1: 2}, Path("nowhere"), "nowhere.png", "http:///x", "file:///x"]
        )
    if choice == 1:
        return [array(random) for _ in range(random.randrange(3))]
    if choice == 2:
        return pixels(random, random.choice(MODES))
    rng = np.random.default_rng(random.getrandbits(32))
    shape = [random.choice([0, 1, 2, 3, 4, 12, 13, 32]) for _ in range(random.choice([0, 1, 2, 2, 3, 3, 4, 4, 5]))]
    if random.random() < 0.3:
        shape = [random.choice([1, 2]), 12, 8, 8]
    kind = random.choice(DTYPES)
    values = rng.integers(0, random.choice([2, 12, 250]), shape)
    if kind.startswith("float") and values.size and random.random() < 0.3:
        values = values.astype(float)
        values.flat[0] = random.choice([math.nan, math.inf, -1.0, 1e300])
    with np.errstate(all="ignore"):
        values = values.astype(kind)
    if random.random() < 0.5 and kind in DTYPES[:11]:
        value = torch.from_numpy(np.ascontiguousarray(values).reshape(shape))
        return random.choice([value] * 10 + [value.to("meta"), torch.eye(8).to_sparse()])
    return values


def mask_files(random: Random, folder: Path) -> None:
    label_set = random.choice(LABEL_SETS)
    path = folder / f"mask{random.choice(['.png', '.jpg', '.tif', ''])}"
    path.write_bytes(image_bytes(random, label_set))
    options = {"color_tolerance": random.choice([None, None, 0, 20, 442.0, -1, math.nan])}
    if random.random() < 0.3:
        options |= {"height": random.choice([None, 0, 1, 64, -3]), "width": random.choice([None, 1, 7, 64])}
    instances = {"instance_map": path} if random.random() < 0.3 else {}
    processor = SPADEImageProcessor(label_set=label_set, use_instance_edges=bool(instances))
    masks, _ = processor.preprocess(str(path), **instances, **options)
    assert masks.shape[-1] > 0 and (masks.is_floating_point() or int(masks.max()) < label_set.num_channels)


def mask_values(random: Random, folder: Path) -> None:
    options = {"height": random.choice([None, 16, *NUMBERS[:5], 2.5, "x"])} if random.random() < 0.2 else {}
    if random.random() < 0.3:
        processor = SPADEImageProcessor(label_set=LANDSCAPES, use_instance_edges=True)
        processor.preprocess(np.zeros((8, 8), np.uint8), array(random), **options)
    else:
        SPADEImageProcessor(label_set=LANDSCAPES).preprocess(array(random), **options)


def picture_files(random: Random, folder: Path) -> None:
    path = folder / "image.png"
    path.write_bytes(image_bytes(random))
    images = SPADEImageProcessor(label_set=LANDSCAPES).preprocess_image(str(path), size=(32, 32))
    assert images.shape == (1, 3, 32, 32) and images.abs().max() <= 1


def picture_values(random: Random, folder: Path) -> None:
    SPADEImageProcessor(label_set=LANDSCAPES).preprocess_image(array(random), size=random.choice([None, (32, 32)]))


def value_files(random: Random, folder: Path) -> None:
    """Arrays, TIFF and images of any number of channels, read by processors of others."""
    rng = np.random.default_rng(random.getrandbits(32))
    count = random.choice([1, 2, 3, 5])
    values = rng.integers(0, 250, (9, 7, count)).astype(random.choice(["uint8", "uint16", "int16", "float32"]))
    buffer = io.BytesIO()
    if random.random() < 0.4:
        np.save(buffer, np.moveaxis(values, -1, 0) if random.random() < 0.3 else values)
    else:
        tifffile.imwrite(
            buffer, values.squeeze(), photometric="minisblack", planarconfig="contig" if count > 1 else None
        )
    data = buffer.getvalue() if random.random() < 0.8 else image_bytes(random)
    path = folder / "image.tif"
    path.write_bytes(data if random.random() < 0.3 else bytes_from(random, data))
    channels = random.choice([1, 2, 3, 5])
    value_range = random.choice([None, (0, 255), (0, 65535), (-1000.5, 1e6)])
    processor = SPADEImageProcessor(label_set=LANDSCAPES, image_channels=channels, value_range=value_range)
    images = processor.preprocess_image(str(path), size=(32, 32))
    assert images.shape == (1, channels, 32, 32) and images.abs().max() <= 1


def processor_options(random: Random, folder: Path) -> None:
    names = ("image_channels", "value_range", "display_channels", "condition_channels", "condition_range")
    given = {name: random.choice([*VALUES, [0, 1], [0, 1, 2], 1, 3]) for name in names if random.random() < 0.5}
    processor = SPADEImageProcessor(label_set=LANDSCAPES, **given)
    processor.preprocess_image(array(random), size=random.choice([None, (32, 32)]))
    if processor.config.condition_channels:
        processor.preprocess_condition(array(random), size=random.choice([None, (32, 32)]))


def masks_of_arrays(random: Random, folder: Path) -> None:
    """Ids and weights of a data set's `.npy` files."""
    buffer = io.BytesIO()
    shape = random.choice([(), (5,), (0, 3), (6, 8), (12, 6, 8), (3, 6, 8), (1, 12, 6, 8)])
    dtype = random.choice(["uint8", "int64", "bool", "float32", "float64", "complex64", "U1", ">f4"])
    values = np.random.default_rng(random.getrandbits(32)).integers(0, random.choice([2, 12, 300]), shape)
    np.save(buffer, values.astype(dtype))
    data = buffer.getvalue() if random.random() < 0.5 else bytes_from(random, buffer.getvalue())
    mask = decode_labels({"bytes": data, "path": None}, FileImage(), "label")
    processor = SPADEImageProcessor(label_set=LANDSCAPES)
    read = processor.preprocess_mask(mask[None] if is_soft(mask) else mask, height=32, width=32)
    assert read.shape[-2:] == (32, 32) and len(read) == 1


@functools.cache
def painter() -> Painter:
    processor = SPADEImageProcessor(label_set=LANDSCAPES)
    generator, encoder = tiny_generator(num_labels=12), tiny_style_encoder()
    for network in (generator, encoder):
        network.fuse_spectral_norm()
    return Painter(SPADEPipeline(generator, processor, encoder))


@functools.cache
def handlers() -> Handlers:
    return Handlers(painter())


def uploads(random: Random, folder: Path) -> None:
    data = image_bytes(random)
    if random.random() < 0.5:
        assert max(read_style_image(data).size) <= 512 and max(read_photo(data).size) <= 1024
    else:
        opened = read_mask(data, painter().processor, painter().formats)
        painter().paint(opened.label_map, [painter().style_of_seed(0)])


@functools.cache
def scene() -> dict[str, Any]:
    styles = Styles(Style("noon", torch.zeros(1, 8)), Style("dusk", torch.ones(1, 8)))
    label_map = np.zeros((64, 64), np.int64)
    label_map[20:40, 7:] = 5
    return json.loads(Scene(label_map, styles, 0.25).to_json(LANDSCAPES))


def scenes(random: Random, folder: Path) -> None:
    opened = Scene.from_json(json_from(random, scene()), LANDSCAPES, 8, 10**6)
    assert opened.label_map.shape and 0 <= opened.blend <= 1
    painter().paint(opened.label_map, None if opened.styles is None else [opened.styles.blend(opened.blend)])


def browsers(random: Random, folder: Path) -> None:
    """What a page sends, or a visitor's own program in its place; Gradio has a message for the one error."""
    canvas, styles = handlers().first_canvas(), handlers().first_styles()
    kept = {"mask": canvas, "start": canvas, "styles": styles, "blend": 0.5, "strength": 0.5, "outline_seed": 3}
    assert len(handlers().restore(value_from(random, kept))) == 10  # never fails
    choice = random.randrange(3)
    try:
        if choice == 0:
            handlers().paint(text_from(random, canvas).decode("utf-8", "replace"), styles, 0.5)
        elif choice == 1:
            handlers().paint(canvas, value_from(random, styles), random.choice([0.0, 0.3, 1.0, -2.0, math.nan]))
        else:
            handlers().generate(image_bytes(random), None, random.choice([*NUMBERS, None]))
    except Exception as error:
        if type(error).__name__ != "Error":  # gradio's
            raise
        raise error.__cause__ or error from None  # which must be ours


@functools.cache
def public_weights(kind: str) -> dict[str, torch.Tensor]:
    if kind == "D":
        return dict(public_reference.random_discriminator_weights(3, base_channels=2))
    if kind == "E":
        return public_reference.random_encoder_weights(base_channels=2)
    latent = {"latent_dim": 8} if kind == "latent" else {}
    return public_reference.random_generator_weights(3, base_channels=2, hidden_channels=4, **latent)


def tensor(random: Random, value: torch.Tensor) -> Any:
    """Something in place of a weight."""
    if value.numel() > 10**6:  # expanded before: another type would allocate all of it
        return value
    choices: list[Callable[[], Any]] = [
        lambda: torch.zeros(random.choice([0, 1, 3]), *value.shape[1:]),
        lambda: torch.zeros([random.choice([0, 1, 2, 3]) for _ in range(random.randrange(6))]),
        lambda: value.transpose(0, -1) if value.ndim else value,
        lambda: value.flatten(),
        lambda: value * math.nan,
        lambda: value.to(random.choice([torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool])),
        lambda: value.to(torch.complex64),
        lambda: torch.zeros(()).expand([10**4] * value.ndim),  # a few bytes in the file
        lambda: torch.zeros(()).expand(value.shape),
        lambda: value.to_sparse() if value.ndim else value,
        lambda: torch.nn.Parameter(value.float()),
        lambda: value.to("meta"),
        lambda: random.choice(VALUES),
    ]
    return random.choice(choices)()


def spoiled_weights(random: Random, kind: str) -> Any:
    weights: dict[Any, Any] = dict(public_weights(kind))
    if random.random() < 0.03:
        return random.choice([*VALUES, [weights], {"state_dict": weights}])
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        key = random.choice(list(weights))
        change = random.randrange(5)
        if change == 0:
            del weights[key]
        elif change == 1:
            weights[text_from(random, str(key)).decode("utf-8", "replace")] = weights.pop(key)
        elif change == 2:
            other = random.choice(STRANGE_KEYS)
            weights[other] = weights[key]
        else:
            value = weights[key]
            weights[key] = tensor(random, value) if isinstance(value, torch.Tensor) else random.choice(VALUES)
    return weights


def weights_file(random: Random, path: Path, kind: str) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about sparse tensors
        if random.random() < 0.3:
            buffer = io.BytesIO()
            torch.save(dict(public_weights(kind)), buffer, _use_new_zipfile_serialization=random.random() < 0.5)
            path.write_bytes(bytes_from(random, buffer.getvalue()))
        else:
            torch.save(spoiled_weights(random, kind), path, _use_new_zipfile_serialization=random.random() < 0.7)
    return path


def checkpoints(random: Random, folder: Path) -> None:
    """`.pth` files of generators, style encoders and discriminators."""
    options = {"num_labels": 3, "use_instance_edges": False, "image_size": 64}
    kind = random.choice(["plain", "latent", "E", "D"])
    path = weights_file(random, folder / f"latest_net_{kind}.pth", kind)
    if kind == "D":
        convert_nvlabs_discriminator(path, num_labels=3, use_instance_edges=False)
        return
    encoder = None
    if kind == "E":
        encoder, path = path, folder / "latest_net_G.pth"
        torch.save(public_weights("latent"), path)
    layers = random.choice(["normal", "normal", "more"]) if kind == "plain" else "normal"
    pipeline = convert_nvlabs_checkpoint(path, style_encoder_path=encoder, num_upsampling_layers=layers, **options)
    assert all(value.isfinite().all() for value in pipeline.generator.state_dict().values())


def command(*arguments: object) -> None:
    """Run a command: it ends with 0, or with 2 and one line of ours."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # of argparse
            status = error.code
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("error: ")]
    if status not in (0, 2) or (status == 2 and len(lines) != 1):
        raise Failure(f"{arguments}: status {status}\n{errors.getvalue()}")
    output.getvalue().encode()  # what is printed can be printed


def assert_whole(folder: Path, *, allowed: set[str]) -> None:
    """Only files that a command says it writes, and each of them whole."""
    for path in folder.rglob("*") if folder.exists() else []:
        if path.is_dir():
            continue
        if path.name not in allowed:
            raise Failure(f"left behind: {path}")
        if path.suffix == ".png":
            with PIL.Image.open(path) as image:
                image.load()


def convert_command(random: Random, folder: Path) -> None:
    path = weights_file(random, folder / "latest_net_G.pth", "plain")
    output = folder / "output"
    command(
        "convert", path, output / "new", "--num-labels", 3, "--image-size", 64, "--num-upsampling-layers", "normal"
    )
    assert not output.exists() or [one.name for one in output.iterdir()] == ["new"]
    if output.exists() and len(list(output.rglob("*.*"))) < 5:
        raise Failure(f"half a model in {output}")


TABLES = {
    ".json": [LABEL_SETS[0].to_dict(), LABEL_SETS[3].to_dict(),
              {"id2label": {"0": "sky", "2": "sea"}, "palette": [[1, 2, 3], [4, 5, 6]], "ignore_label": 255},
              {"categories": [{"id": 1, "name": "person", "color": [1, 2, 3]}, {"id": 2, "name": "tree"}]},
              {"label_map": {"0": "sky", "1": "sea"}, "segmentation_colors": [[1, 2, 3], [4, 5, 6]]},
              {"labels": [{"name": "sky", "color": [1, 2, 3]}, {"name": "void", "color": [4, 5, 6]}]},
              {"0": "sky", "1": "void"}, {"sky": 0, "sea": 7}, {"label_dict": {"sky": 0}}, ["sky", "sea"]],
    ".txt": ["128 64 128\troad\n0 0 0 void\n70 70 70 building", "road:128,64,128::\nsky:1,2,3:: #x", "sky\nsea\nland",
             "__ignore__\n_background_\ncat", "0: sky\n1: sea", "0  sky\n1  sea", "#ffd700 sand\n#804080 road"],
    ".csv": ["name,r,g,b\nroad,128,64,128\nsky,1,2,3", "7,road,128,64,128\n9,sky,1,2,3", "0, a\n1, b\n2, void",
             '"name","r"\n"a, b",1,2,3\n"c",4,5,6', "a,#804080\nb,#ffffff", "0, 2-wheeler\n1, 3", "a;b,1,2,3"],
}  # fmt: skip


def label_tables(random: Random, folder: Path) -> None:
    suffix = random.choice(list(TABLES))
    path = folder / f"labels{suffix}"
    origin = random.choice(TABLES[suffix])
    path.write_bytes(json_from(random, origin) if suffix == ".json" else text_from(random, origin))
    if random.random() < 0.2:
        (folder / "output").mkdir()
        command("labels", path, "--image", folder / "output" / "legend.png")
        assert_whole(folder / "output", allowed={"legend.png"})
        return
    label_set = LabelSet.from_file(path)
    assert LabelSet.from_dict(json.loads(json.dumps(label_set.to_dict()))) == label_set
    assert label_set.palette.shape == (label_set.num_channels, 3)
    label_set.describe_ids()


CLASS_TABLE = {"mountain, mount": "mountain", "earth, ground": "dirt", "never": ["cloud", "snow"]}
CLASSES = ["sky", "mountain, mount", "rock, stone", "grass", "tree", "sand", "water", "sea", "earth, ground", "flower"]


def class_tables(random: Random, folder: Path) -> None:
    path = folder / "classes.json"
    path.write_bytes(json_from(random, CLASS_TABLE))
    found = match_labels(CLASSES, LANDSCAPES, load_class_table(str(path)), model="model")
    assert len(found) == LANDSCAPES.num_channels
    assert all(0 <= number < len(CLASSES) for own in found for number in own)


@functools.cache
def saved_model() -> dict[str, bytes]:
    """The files of a small pipeline."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        painter().pipeline.save_pretrained(name)
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        return {str(path.relative_to(name)): path.read_bytes() for path in files}


def write_model(random: Random, folder: Path) -> None:
    spoiled = random.choice([name for name in saved_model() if name.endswith(".json")] * 3 + list(saved_model()))
    for name, data in saved_model().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == spoiled:
            if random.random() < 0.03:
                continue
            is_json = name.endswith(".json")
            data = json_from(random, json.loads(data)) if is_json else bytes_from(random, data)
        path.write_bytes(data)


def models(random: Random, folder: Path) -> None:
    """A pipeline's folder with one file spoiled; painted by the command, and read by it for its labels."""
    write_model(random, folder / "model")
    PIL.Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "mask.png")
    output = folder / "output" / "image.png"
    if random.random() < 0.3:
        command("labels", folder / "model")
    else:
        command("generate", folder / "mask.png", "--model", folder / "model", "--output", output)
    assert_whole(folder / "output", allowed={"image.png"})


@functools.cache
def model_folder() -> Path:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="spade-hf-fuzz-"))
    painter().pipeline.save_pretrained(folder)
    return folder


def painted_masks(random: Random, folder: Path) -> None:
    """Commands that read images and write some."""
    mask, image, output = folder / "mask.png", folder / "image.jpg", folder / "output"
    mask.write_bytes(image_bytes(random))
    image.write_bytes(image_bytes(random))
    command(
        *random.choice(
            [
                ["generate", mask, "--model", model_folder(), "--output", output / "a.png"],
                ["generate", mask, "--model", model_folder(), "--style", image, "--output", output / "a.png"],
                ["edit", mask, "--output", output / "a.png", "--replace", random.choice(["sky=sea", "=", "x", "0=1"])],
                [
                    "edit",
                    mask,
                    "--output",
                    output / "a.png",
                    "--paste",
                    image,
                    "--region",
                    random.choice(["0", "sky"]),
                ],
            ]
        )
    )
    assert_whole(output, allowed={"a.png"})


TRAINING = """num_epochs: 3
train_batch_size: 2
resolution: [64, 96]
lr_scheduler: linear
label_set: ade20k
use_instance_edges: true
gan_weight: 1.0
"""


def training_configs(random: Random, folder: Path) -> None:
    from spade_hf_cli.train.parser import parse_args

    path = folder / "config.yaml"
    path.write_bytes(text_from(random, TRAINING))
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parse_args(["--config", str(path), "--dataset_name", "x", "--output_dir", str(folder / "out")])
    except SystemExit as error:
        if error.code != 2 or "error: " not in errors.getvalue():
            raise Failure(errors.getvalue()) from error


PARTS = ["1", "2", "IMG_1", "img_1", "forêt", "fore\u0302t", "a::b", "[x]*?", "gt_1", "1-sky", ".1", "._1", "a b"]
PARTS += ["zip:", "\udcdf"]  # the last one is a byte that is not UTF-8
ENDS = [".png", ".PNG", ".jpg", ".tar.png", "_L.png", "", ".txt", ".heic", "."]


def file_names(random: Random, folder: Path) -> None:
    """Pairs files of any names in folders, linked folders and zip files, and reads the pairs."""
    from spade_hf.data import load_folders
    from spade_hf.data.listing import read_file

    drawn, folders = image_bytes(random), {}
    common = random.choices(PARTS, k=random.randint(1, 3))
    for column in ("image", "label", "instance")[: random.randint(1, 3)]:
        names = [
            random.choice(["", "", "sub/", "sub/deep/", ".hidden/", "__MACOSX/"]) + part + random.choice(ENDS)
            for part in [*common, *random.choices(PARTS, k=random.randint(0, 2))]
            for _ in range(random.randint(1, 2) if random.random() < 0.3 else 1)
        ]
        root = folder / column
        if random.random() < 0.3 and not any("\udcdf" in name for name in names):
            with zipfile.ZipFile(folder / f"{column}.zip", "w") as archive:
                for name in dict.fromkeys(names):
                    archive.writestr(name, drawn)
            root = folder / f"{column}.zip"
        for name in names if root.suffix != ".zip" else ():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not (root / name).is_dir():
                (root / name).write_bytes(drawn)
        if root.suffix != ".zip" and random.random() < 0.3:
            (root / "sub").mkdir(exist_ok=True)
            (root / "sub" / "loop").symlink_to(random.choice([root, folder]), target_is_directory=True)
        folders[column] = str(root)
    if random.random() < 0.2:
        folders = dict.fromkeys(folders, folders["image"])
    suffixes, prefixes = ({column: random.choice(ends) for column in folders if random.random() < 0.3}
                          for ends in (ENDS, ["", "gt_", "IMG_", "1"]))  # fmt: skip
    class_masks = LANDSCAPES if "label" in folders and random.random() < 0.2 else None
    rows = load_folders(folders, suffixes=suffixes, prefixes=prefixes, class_masks=class_masks)
    assert len(rows) and len(set(rows["file_name"])) == len(rows)
    for row in rows.select_columns(list(folders)).with_format("arrow"):
        for value in row.to_pylist()[0].values():
            if read_file(value["path"]) != drawn:
                raise Failure(f"{value['path']} is not the file that was written")


TARGETS: dict[str, Target] = {
    "mask_files": mask_files,
    "mask_values": mask_values,
    "picture_files": picture_files,
    "value_files": value_files,
    "processor_options": processor_options,
    "masks_of_arrays": masks_of_arrays,
    "picture_values": picture_values,
    "uploads": uploads,
    "scenes": scenes,
    "browsers": browsers,
    "checkpoints": checkpoints,
    "convert_command": convert_command,
    "label_tables": label_tables,
    "class_tables": class_tables,
    "models": models,
    "painted_masks": painted_masks,
    "training_configs": training_configs,
    "file_names": file_names,
}
