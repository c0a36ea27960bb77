"""`spade-hf export` on a tiny model."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import spade_hf
from spade_hf import SPADEImageProcessor, SPADEPipeline
from spade_hf.labels.label_set import Label, LabelSet
from spade_hf.project import install_command
from spade_hf_cli import main
from spade_hf_cli.commands import export as command

from ..tiny_networks import NUM_LABELS, tiny_generator, tiny_outlines, tiny_segmenter, tiny_style_encoder


EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_inference.py"
SIZE = ("--size", "64", "96")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("model"))


def saved(folder: Path, **networks) -> Path:
    labels = tuple(Label(number, f"label {number}", (9 * number, 0, 0)) for number in range(NUM_LABELS))
    processor = SPADEImageProcessor(label_set=LabelSet("four", labels))
    parts = {"generator": tiny_generator(), "style_encoder": tiny_style_encoder(), **networks}
    SPADEPipeline(image_processor=processor, **parts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mask(tmp_path_factory) -> Path:
    blobs = np.random.default_rng(0).integers(NUM_LABELS, size=(8, 12), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    file = tmp_path_factory.mktemp("mask") / "mask.png"
    Image.fromarray(blobs).save(file)
    return file


def test_files_that_the_example_paints_with_as_the_library_does(model, mask, tmp_path, capsys):
    generator, encoder = tmp_path / "new" / "generator.onnx", tmp_path / "encoder.onnx"
    files = ("--output", str(generator), "--style-encoder", str(encoder))
    assert main(["export", "--model", str(model), *files, *SIZE, "--mask", str(mask)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(generator), str(encoder)]
    assert all("differ from torch's by" in line for line in lines)

    colors = np.random.default_rng(1).integers(256, size=(5, 7, 3), dtype=np.uint8)
    style = Image.fromarray(colors).resize((128, 128))  # the encoder's own size: these weights enlarge every rounding
    style.save(tmp_path / "style.png")
    example = load_example()
    style_of = ("--encoder", str(encoder), "--style", str(tmp_path / "style.png"))
    example.main([str(generator), str(tmp_path / "out.png"), "--mask", str(mask), *style_of])
    ours = SPADEPipeline.from_pretrained(model)(str(mask), style_image=style, height=64, width=96).images[0]
    difference = np.abs(np.asarray(ours, dtype=int) - np.asarray(Image.open(tmp_path / "out.png"), dtype=int))
    assert np.asarray(ours).std() > 10 and difference.max() <= 2
    example.main([str(generator), str(tmp_path / "random.png"), "--mask", str(mask)])
    assert Image.open(tmp_path / "random.png").size == (96, 64)
    Image.open(mask).convert("RGB").save(tmp_path / "colors.png")
    with pytest.raises(SystemExit, match=r"colors\.png is a picture in colors; give one of label ids\. The file's"):
        example.main([str(generator), str(tmp_path / "none.png"), "--mask", str(tmp_path / "colors.png")])
    with pytest.raises(SystemExit, match="This model needs --mask"):
        example.main([str(generator), str(tmp_path / "none.png")])


def load_example():
    spec = importlib.util.spec_from_file_location("onnx_inference", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("count", "value_range", "suffix"), [(1, (0, 65535), ".png"), (1, (-1000, 1000), ".npy"), (5, None, ".npy")]
)
def test_the_example_reads_a_condition_and_writes_the_datas_units(count, value_range, suffix, mask, tmp_path):
    labels = tuple(Label(number, f"label {number}", (9 * number, 0, 0)) for number in range(NUM_LABELS))
    options = {"image_channels": count, "condition_channels": 2}
    processor = SPADEImageProcessor(
        label_set=LabelSet("four", labels), value_range=value_range, condition_range=(0, 80), **options
    )
    pipeline = SPADEPipeline(tiny_generator(**options), processor)
    pipeline.save_pretrained(tmp_path / "model")
    files = [str(tmp_path / name) for name in ("generator.onnx", f"image{suffix}", "condition.npy")]
    assert main(["export", "--model", str(tmp_path / "model"), "--output", files[0], *SIZE]) == 0
    condition = np.random.default_rng(0).uniform(-8, 88, (32, 48, 2)).astype(np.float32)  # some are clipped
    np.save(files[2], condition)
    example = load_example()
    drawn = np.random.default_rng(1).standard_normal((1, pipeline.generator.config.latent_dim), dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example.np.random, "default_rng", lambda: SimpleNamespace(standard_normal=lambda *a, **o: drawn))
        example.main([*files[:2], "--mask", str(mask), "--condition", files[2]])
    found = np.load(files[1]) if suffix == ".npy" else np.array(Image.open(files[1]))[..., None]
    options = {"latents": torch.from_numpy(drawn), "height": 64, "width": 96, "output_type": "pt"}
    images = pipeline(str(mask), condition=condition, **options).images
    expected = pipeline.image_processor.to_stored(images * 2 - 1)[0].astype(np.float64)
    assert found.dtype == (np.uint16 if suffix == ".png" else np.float32)
    white = (value_range or (0, 255))[1]
    assert expected.std() > white / 30 and np.abs(found - expected).max() <= (white / 1000 if value_range else 0.51)
    with pytest.raises(SystemExit, match="This model needs --condition"):
        example.main([*files[:2], "--mask", str(mask)])
    if suffix == ".npy":
        with pytest.raises(SystemExit, match="give a name that ends in .npy"):
            example.main([files[0], "image.png", "--mask", str(mask), "--condition", files[2]])


def test_half_precision(model, tmp_path):
    assert (
        main(["export", "--model", str(model), "--output", str(tmp_path / "g.onnx"), *SIZE, "--dtype", "float16"]) == 0
    )
    types = {weight.data_type for weight in onnx.load(tmp_path / "g.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


def test_the_outline_model_alone_and_beside_the_generator(tmp_path, capsys):
    folder = saved(tmp_path / "model", outline_model=tiny_outlines(block_out_channels=(8,)))
    outlines, generator = tmp_path / "outlines.onnx", tmp_path / "g.onnx"
    assert main(["export", "--model", str(folder), "--outline", str(outlines)]) == 0
    assert capsys.readouterr().out.startswith(f"{outlines}: ")
    alone = outlines.read_bytes()
    assert b"noisy_map" in alone and b"latents" not in alone
    assert (
        main(
            ["export", "--model", str(folder), "--output", str(generator), *SIZE]
            + ["--outline", str(outlines), "--overwrite"]
        )
        == 0
    )
    assert outlines.read_bytes() == alone and b"latents" in generator.read_bytes()


def test_the_segmenter(model, tmp_path, capsys):
    folder = saved(tmp_path / "model", segmenter=tiny_segmenter())
    file = tmp_path / "segmenter.onnx"
    assert main(["export", "--model", str(folder), "--segmenter", str(file)]) == 0
    assert capsys.readouterr().out.startswith(f"{file}: ")
    assert b"probabilities" in file.read_bytes()
    assert main(["export", "--model", str(model), "--segmenter", str(tmp_path / "other.onnx")]) == 2
    assert "--segmenter was given, but this model has no segmenter" in capsys.readouterr().err


def test_nothing_is_written_that_differs(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_model", lambda name: str(model))
    monkeypatch.setattr("spade_hf.export.generator_difference", lambda *arguments, **options: 0.5)
    assert main(["export", "--output", str(tmp_path / "g.onnx"), *SIZE]) == 2
    assert (
        "g.onnx was not written: in onnxruntime its outputs differ from torch's by up to 0.5"
        in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--size", "64", "90"),
            "--size is 64x90 (height x width); both must be multiples of 32",
        ),
        (("--output", "here.pt"), "--output is here.pt, which ends in '.pt'; allowed are .onnx"),
        (("--style-encoder", "g.onnx"), "--output and --style-encoder are both g.onnx"),
        (("--mask", "nothing.png"), "nothing.png"),
        (("--outline", "g.onnx"), "--output and --outline are both g.onnx"),
        (("--outline", "o.onnx"), "--outline was given, but this model has no outline model. Leave it out."),
        (("--model", "nothing"), "--model is nothing, which is neither a folder nor a Hub id"),
    ],
)
def test_bad_input_is_one_line(options, message, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--model", str(model), "--output", "g.onnx", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (),
            "There is nothing to write. Give one or more of --output, --style-encoder, --outline, --segmenter, "
            "--standalone.",
        ),
        (("--outline", "o.onnx", "--modulation", "sparse"), "--modulation belongs to --output, which is missing."),
    ],
)
def test_without_a_file_for_the_generator(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *options]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_file_that_exists_is_kept(model, tmp_path, capsys):
    (tmp_path / "g.onnx").write_text("mine")
    assert main(["export", "--model", str(model), "--output", str(tmp_path / "g.onnx")]) == 2
    assert "which exists" in capsys.readouterr().err and (tmp_path / "g.onnx").read_text() == "mine"


def test_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.delattr(spade_hf, "export", raising=False)
    monkeypatch.delitem(sys.modules, "spade_hf.export", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in [name for name in sys.modules if name.startswith("spade_hf.export.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["export", "--output", str(tmp_path / "g.onnx")]) == 2
    assert install_command("export") in capsys.readouterr().err
