"""Pipelines load and save as diffusers' own do: by folder, by name, through `DiffusionPipeline`."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import diffusers
import pytest
import torch
from diffusers import DiffusionPipeline

import spade_hf
from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf.hub.model_card import write_converted_model_card
from spade_hf.hub.registration import register_with_diffusers

from ..tiny_networks import random_label_map, random_latents, tiny_generator, tiny_style_encoder


SAME = {"atol": 1e-5, "rtol": 1e-5}
IN_A_NEW_PROCESS = """
import sys
import spade_hf
assert sys.modules["diffusers"].SPADEPipeline is spade_hf.SPADEPipeline  # registered by the import alone
import diffusers, torch
inputs = torch.load(sys.argv[1], weights_only=True)
images = []
for source in sys.argv[3:]:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(source)
    assert type(pipeline) is spade_hf.SPADEPipeline, type(pipeline)
    images.append(pipeline(**inputs, output_type="pt").images)
torch.save(images, sys.argv[2])
"""


def tiny_pipeline(*, with_style_encoder: bool = True) -> SPADEPipeline:
    pipeline = SPADEPipeline(
        generator=tiny_generator(),
        image_processor=SPADEImageProcessor(label_set=LabelSet.anonymous(4)),
        style_encoder=tiny_style_encoder() if with_style_encoder else None,
    )
    for name in ("generator", "style_encoder"):
        if (network := getattr(pipeline, name)) is not None:
            network.fuse_spectral_norm()  # as a pipeline is saved; spectral norm costs a second at each load
    return pipeline


def images(pipeline: SPADEPipeline) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(random_label_map(), latents=random_latents(), output_type="pt").images


@pytest.fixture(scope="module")
def pipeline() -> SPADEPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def repo(pipeline, hub) -> str:
    name = f"{hub.user}/registered-pipeline"
    pipeline.push_to_hub(name, token=hub.token)
    return name


def test_model_index_names_the_library(folder):
    index = json.loads((folder / "model_index.json").read_text())
    assert {key: value for key, value in index.items() if key != "_diffusers_version"} == {
        "_class_name": "SPADEPipeline",
        "generator": ["spade_hf", "SPADEGenerator"],
        "image_processor": ["spade_hf", "SPADEImageProcessor"],
        "outline_model": [None, None],  # diffusers' sign for an optional part that is not there
        "segmenter": [None, None],
        "style_encoder": ["spade_hf", "SPADEStyleEncoder"],
    }


def test_saved_files_do_not_say_where_they_were_loaded_from(folder, tmp_path):
    """diffusers keeps that path in the config, and writes it into everything that is saved later."""
    pipeline = SPADEPipeline.from_pretrained(str(folder))
    assert pipeline.config._name_or_path == str(folder)
    pipeline.save_pretrained(str(tmp_path / "pipeline"))
    for network in (pipeline.generator, pipeline.style_encoder):
        network.save_pretrained(str(tmp_path / "networks" / type(network).__name__))
    files = [*tmp_path.rglob("*.json"), *Path(spade_hf.BUNDLED_MODEL).rglob("*.json")]
    assert len(files) == 4 + 2 + 6  # the bundled model has an outline model and a segmenter
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "_name_or_path" not in text and str(folder.parent) not in text, file
        assert not re.search(r'"/[^"]', text), file


def test_files(folder):
    weights = "diffusion_pytorch_model.safetensors"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "model_index.json",
        "generator/config.json",
        f"generator/{weights}",
        "style_encoder/config.json",
        f"style_encoder/{weights}",
        "image_processor/preprocessor_config.json",
    }


def test_registering_twice_changes_nothing():
    from diffusers.pipelines.pipeline_loading_utils import ALL_IMPORTABLE_CLASSES, LOADABLE_CLASSES

    before = (dict(LOADABLE_CLASSES), dict(ALL_IMPORTABLE_CLASSES))
    register_with_diffusers()
    assert (LOADABLE_CLASSES, ALL_IMPORTABLE_CLASSES) == before
    assert diffusers.SPADEPipeline is SPADEPipeline
    assert diffusers.SPADEGenerator is SPADEGenerator


def test_an_unknown_diffusers_is_reported_and_not_fatal(monkeypatch, caplog):
    from diffusers.pipelines import pipeline_loading_utils

    monkeypatch.delattr(pipeline_loading_utils, "LOADABLE_CLASSES")
    register_with_diffusers()
    assert "has no known registry" in caplog.text


@pytest.mark.parametrize("cls", [SPADEPipeline, DiffusionPipeline])
@pytest.mark.parametrize("source", ["folder", "repo"])
def test_load(cls, source, pipeline, request):
    loaded = cls.from_pretrained(str(request.getfixturevalue(source)))
    assert type(loaded) is SPADEPipeline
    assert type(loaded.generator) is SPADEGenerator and type(loaded.style_encoder) is SPADEStyleEncoder
    assert loaded.image_processor.label_set == pipeline.image_processor.label_set
    torch.testing.assert_close(images(loaded), images(pipeline), **SAME)


def test_save_elsewhere_and_load_again(folder, pipeline, tmp_path):
    DiffusionPipeline.from_pretrained(str(folder)).save_pretrained(str(tmp_path))
    torch.testing.assert_close(images(DiffusionPipeline.from_pretrained(str(tmp_path))), images(pipeline), **SAME)
    assert (tmp_path / "model_index.json").read_text().count("spade_hf") == 3


def test_new_process(folder, repo, pipeline, tmp_path):
    torch.save({"mask": random_label_map(), "latents": random_latents()}, tmp_path / "inputs.pt")
    command = [sys.executable, "-c", IN_A_NEW_PROCESS, tmp_path / "inputs.pt", tmp_path / "images.pt", folder, repo]
    subprocess.run(command, check=True, capture_output=True)
    for loaded in torch.load(tmp_path / "images.pt", weights_only=True):
        torch.testing.assert_close(loaded, images(pipeline), **SAME)


@pytest.mark.parametrize("cls", [SPADEPipeline, DiffusionPipeline])
def test_without_style_encoder(cls, pipeline, tmp_path):
    tiny_pipeline(with_style_encoder=False).save_pretrained(str(tmp_path))
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["style_encoder"] == [None, None]
    loaded = cls.from_pretrained(str(tmp_path))
    assert loaded.style_encoder is None
    torch.testing.assert_close(images(loaded), images(pipeline), **SAME)
    loaded = cls.from_pretrained(str(tmp_path), style_encoder=tiny_style_encoder())
    assert isinstance(loaded.style_encoder, SPADEStyleEncoder)


def test_leaving_the_style_encoder_out(folder):
    assert SPADEPipeline.from_pretrained(str(folder), style_encoder=None).style_encoder is None


def test_dtype(folder, pipeline):
    loaded = DiffusionPipeline.from_pretrained(str(folder), dtype=torch.bfloat16)
    assert loaded.generator.dtype == loaded.style_encoder.dtype == torch.bfloat16
    assert (images(loaded) - images(pipeline)).abs().mean() < 0.05

    loaded = SPADEPipeline.from_pretrained(str(folder), dtype={"generator": torch.bfloat16, "default": torch.float32})
    assert loaded.generator.dtype == torch.bfloat16
    assert loaded.style_encoder.dtype == torch.float32
    styled = loaded(random_label_map(), style_image=torch.rand(3, 64, 64), output_type="pt").images
    assert styled.dtype == torch.float32 and styled.isfinite().all()


def test_variant(pipeline, tmp_path):
    half = tiny_pipeline().to(torch.float16)
    half.save_pretrained(str(tmp_path), variant="fp16")
    loaded = DiffusionPipeline.from_pretrained(str(tmp_path), variant="fp16", dtype=torch.float16)
    assert loaded.generator.dtype == torch.float16
    assert (images(loaded) - images(pipeline)).abs().mean() < 0.02
    with pytest.raises(ValueError, match="variant=no-such"):
        DiffusionPipeline.from_pretrained(str(tmp_path), variant="no-such")


def test_damaged_pipeline(folder, tmp_path):
    tiny_pipeline().save_pretrained(str(tmp_path))
    weights = tmp_path / "generator" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read: .*diffusion_pytorch_model"):
        DiffusionPipeline.from_pretrained(str(tmp_path))


def test_every_class_in_an_index_is_public():
    for name in ("SPADEGenerator", "SPADEStyleEncoder", "SPADEImageProcessor", "ModelMixin"):
        assert name in spade_hf.__all__ and hasattr(spade_hf, name)


def test_public_names_are_those_that_are_listed():
    names = {name for name, value in vars(spade_hf).items() if not isinstance(value, ModuleType)}
    assert {name for name in names if not name.startswith("_")} | {"__version__"} == set(spade_hf.__all__)


def test_type_checkers_read_the_annotations():
    assert (Path(spade_hf.__file__).parent / "py.typed").is_file()
    assert '"py.typed"' in (Path(__file__).parents[2] / "pyproject.toml").read_text()


def test_a_card_begins_with_the_import_that_diffusers_needs(pipeline, tmp_path):
    """Without it `DiffusionPipeline.from_pretrained` says that diffusers has no SPADEPipeline."""
    write_converted_model_card(pipeline, tmp_path, source="latest_net_G.pth")
    for folder in (tmp_path, Path(spade_hf.BUNDLED_MODEL)):
        card = (folder / "README.md").read_text().split("---\n")[2]
        assert "`import spade_hf`" in "".join(card.strip().splitlines()[:3])
