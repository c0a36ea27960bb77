"""Models that travel with their code paint as the library does, in a process that cannot import it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers.utils.dynamic_modules_utils import get_relative_imports
from huggingface_hub import HfApi

import spade_hf
from spade_hf import Pix2PixHDGenerator, SPADEGenerator, SPADEImageProcessor, SPADEOutlineModel, SPADEPipeline
from spade_hf.hub import one_file
from spade_hf.hub.standalone import FILES, is_standalone, write_standalone
from spade_hf_cli import main

from ..tiny_networks import random_label_map, tiny_generator
from .test_registration import tiny_pipeline


SAME = {"atol": 1e-5, "rtol": 1e-5}
CALL = {"height": 64, "width": 128, "output_type": "pt"}
MASK = Path(spade_hf.BUNDLED_MODEL).parent / "demo" / "assets" / "lake_mask.png"
STYLE = MASK.with_name("sunset_style.jpg")
# A process with only the installed packages, in which nothing finds the library.
WITHOUT_LIBRARY = """
import json, sys

class Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("spade_hf", "spade_hf_cli"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked)
try:
    import spade_hf
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("spade_hf is there")
import torch
from diffusers import DiffusionPipeline, ModularPipeline

folder, repo, mask, style, output, call = sys.argv[1:]
call = json.loads(call)
images = {}
for source in (folder, repo):
    pipeline = DiffusionPipeline.from_pretrained(source, trust_remote_code=True)
    images[f"{source} random"] = pipeline(mask, generator=torch.Generator().manual_seed(0), **call).images
    images[f"{source} styled"] = pipeline(mask, style_image=style, **call).images
    outlines = {"outline_strength": 0.7, "outline_steps": 1, "generator": torch.Generator().manual_seed(0)}
    images[f"{source} outlines"] = pipeline(mask, **outlines, **call).images
    pipeline.save_pretrained(output + ".saved")
    again = type(pipeline).from_pretrained(output + ".saved")
    images[f"{source} styled, saved again"] = again(mask, style_image=style, **call).images

    blocks = ModularPipeline.from_pretrained(source, trust_remote_code=True)
    blocks.load_components()
    state = blocks(mask=mask, generator=torch.Generator().manual_seed(0), **call)
    images[f"{source} random, blocks"] = state.images
    assert state.latents.shape[0] == 1 and state.label_maps is None
    images[f"{source} styled, blocks"] = blocks(mask=mask, style_image=style, output="images", **call)
torch.save(images, output)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The bundled model with its code, saved by the command."""
    folder = tmp_path_factory.mktemp("standalone") / "landscapes"
    assert main(["export", "--standalone", str(folder), "--repo-id", "alice/standalone-landscapes"]) == 0
    return folder


@pytest.fixture(scope="module")
def repo(folder, hub) -> str:
    name = f"{hub.user}/standalone-landscapes"
    api = HfApi(token=hub.token)
    api.create_repo(name)
    api.upload_folder(repo_id=name, folder_path=folder)
    return name


def images(pipeline: SPADEPipeline) -> dict[str, torch.Tensor]:
    seeded, outlines = torch.Generator(), {"outline_strength": 0.7, "outline_steps": 1}
    return {
        "random": pipeline(MASK, generator=seeded.manual_seed(0), **CALL).images,
        "styled": pipeline(MASK, style_image=STYLE, **CALL).images,
        "outlines": pipeline(MASK, generator=seeded.manual_seed(0), **outlines, **CALL).images,
    }


def test_it_paints_as_the_library_does_where_that_is_not_installed(folder, repo, tmp_path):
    arguments = [folder, repo, MASK, STYLE, tmp_path / "images.pt", json.dumps(CALL)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["HF_MODULES_CACHE"] = str(tmp_path / "modules")
    command = [sys.executable, "-P", "-c", WITHOUT_LIBRARY, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "might require the following packages" not in done.stderr
    found = torch.load(tmp_path / "images.pt", weights_only=True)
    assert len(found) == 2 * 6
    expected = images(SPADEPipeline.from_pretrained(spade_hf.BUNDLED_MODEL))
    for what, image in found.items():
        name = re.search("random|styled|outlines", what)[0]
        torch.testing.assert_close(image, expected[name], **SAME, msg=lambda text, what=what: f"{what}: {text}")
    assert not torch.allclose(expected["random"], expected["styled"], atol=0.01)


def test_the_library_loads_it_as_any_model_and_runs_no_code_of_it(folder, repo, tmp_path):
    for source in (folder, repo):
        pipeline = SPADEPipeline.from_pretrained(source)
        assert type(pipeline) is SPADEPipeline and type(pipeline.generator) is SPADEGenerator
        assert type(pipeline.outline_model) is SPADEOutlineModel
        pipeline.save_pretrained(tmp_path)
        index = json.loads((tmp_path / "model_index.json").read_text())
        assert index["_class_name"] == "SPADEPipeline" and index["generator"] == ["spade_hf", "SPADEGenerator"]
    for kind in (diffusers.DiffusionPipeline, diffusers.ModularPipeline):
        with pytest.raises(ValueError, match="trust_remote_code=True"):
            kind.from_pretrained(folder)
    with pytest.raises(ValueError, match="pass `subfolder='generator'`"):
        SPADEGenerator.from_pretrained(folder)


def test_what_is_written_beside_the_model(folder):
    assert is_standalone(folder) and not is_standalone(Path(spade_hf.BUNDLED_MODEL))
    assert all((folder / name).is_file() for name in FILES)
    # diffusers copies these files alone, and imports what they name
    assert get_relative_imports(folder / "pipeline.py") == []
    assert get_relative_imports(folder / "block.py") == ["pipeline"]
    code = (folder / "pipeline.py").read_text()
    assert "spade_hf import" not in re.sub(r">>> .*", "", code)  # but in examples
    index = json.loads((folder / "modular_model_index.json").read_text())
    assert index["style_encoder"][2]["pretrained_model_name_or_path"] == "alice/standalone-landscapes"


def test_a_model_that_is_there_gets_its_code(tmp_path, capsys):
    pipeline = tiny_pipeline(with_style_encoder=False)
    pipeline.save_pretrained(tmp_path)
    weights = (tmp_path / "generator" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    for _ in range(2):  # the second time over the first one's files
        assert main(["export", "--standalone", str(tmp_path)]) == 0
    line = f'{tmp_path}: DiffusionPipeline.from_pretrained("{tmp_path}", trust_remote_code=True)\n'
    assert capsys.readouterr().out == 2 * line
    assert (tmp_path / "generator" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == weights
    index = json.loads((tmp_path / "modular_model_index.json").read_text())
    assert "style_encoder" not in index and index["generator"][2]["pretrained_model_name_or_path"] is None
    loaded = SPADEPipeline.from_pretrained(tmp_path)
    torch.testing.assert_close(*(one(random_label_map(), output_type="np").images.shape for one in (loaded, pipeline)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--standalone", "MODEL", "--model", "MODEL"), "which holds a model, and --model is .*Leave --model out"),
        (("--standalone", "FULL"), "which is not empty. Give another folder, or --overwrite"),
        (("--output", "x.onnx", "--repo-id", "a/b"), "--repo-id belongs to --standalone, which is missing"),
    ],
)
def test_bad_options(options, message, folder, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    given = [{"MODEL": str(folder), "FULL": str(tmp_path)}.get(word, word) for word in options]
    assert main(["export", *given]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_component_of_another_library_cannot_travel(tmp_path):
    class OwnGenerator(SPADEGenerator):
        pass

    processor = SPADEImageProcessor(label_set=spade_hf.LabelSet.anonymous(4))
    generator = OwnGenerator.from_config(tiny_generator().config)
    SPADEPipeline(generator=generator, image_processor=processor).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`generator` is a OwnGenerator of .*, whose code cannot travel"):
        write_standalone(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator", "image_processor", "model_index.json"]


def test_every_generator_can_travel(tmp_path):
    networks = {"num_labels": 4, "use_unknown_label": False, "use_instance_edges": False, "image_size": (32, 32)}
    processor = SPADEImageProcessor(label_set=spade_hf.LabelSet.anonymous(4))
    for kind in (Pix2PixHDGenerator, spade_hf.ConcatenationGenerator):
        folder = tmp_path / kind.__name__
        pipeline = SPADEPipeline(generator=kind(**networks, base_channels=4), image_processor=processor)
        pipeline.save_pretrained(folder)
        write_standalone(folder)
        assert type(SPADEPipeline.from_pretrained(folder).generator) is kind


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that makes a package of modules, by name and source, for `one_file` to read."""
    monkeypatch.setattr(one_file, "PACKAGE", tmp_path / "toy")

    def package(**modules: str) -> None:
        for name, source in {"__init__": "", **modules}.items():
            path = (tmp_path / "toy").joinpath(*name.split("__in__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    return package


def test_modules_become_one_file(package):
    package(
        low="import json\nfrom math import pi\n\n\nTWO_PI = 2 * pi  # radians\n",
        sub__in____init__="from .inner import half\n",
        sub__in__inner="from math import pi, tau\nfrom ..low import TWO_PI\n\n\ndef half():\n    return TWO_PI - pi\n",
        high='"""A."""\n\nfrom .low import TWO_PI\nfrom .sub import half\n\n\nRESULT = (half(), TWO_PI)\n',
    )
    code = one_file.flatten("high")
    values = {}
    exec(code, values)
    assert values["RESULT"] == (pytest.approx(3.14159, abs=1e-4), pytest.approx(6.28318, abs=1e-4))
    assert code.count("import") == 2 and "import json\nfrom math import pi, tau\n" in code
    assert code.index("TWO_PI = 2 * pi  # radians") < code.index("def half") < code.index("RESULT")


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ("A = 1\nB = 2\n", "from .low import A\n\nB = 3\n", "toy.low and toy.high both define `B`.*Rename one"),
        ("from math import pi\nA = 1\n", "from .low import A\nfrom cmath import pi\n", "both define `pi`"),
        ("A = 1\n", "from .low import A as B\n", r"toy.high has `from .low import A as B`.*Import at the top"),
        ("A = 1\n", "def f():\n    from .low import A\n", "Import at the top"),
        ("A = 1\n", "from . import low\n", "toy.low is a module, or not imported in toy. Import what is in it"),
    ],
)
def test_modules_that_cannot_become_one_file(low, high, message, package):
    package(low=low, high=high)
    with pytest.raises(ValueError, match=message):
        one_file.flatten("high")
