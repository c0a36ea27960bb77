"""The static page: its build script, its modules as Node.js runs them, and built sites for a browser."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.export.models import exported_copy

from ..chromium import CHROMIUM
from ..tiny_networks import tiny_generator, tiny_outlines, tiny_style_encoder, varied_segmenter
from ..waiting import LONGEST
from .visitor import served


BUILD = Path(__file__).parents[2] / "spaces_demo" / "browser" / "build.py"
NODE = shutil.which("node")
Node = Callable[[str, str, Any], Any]


@pytest.fixture(scope="session")
def pipeline() -> SPADEPipeline:
    """Its weights are rounded as those of the page."""
    processor = SPADEImageProcessor(label_set=LabelSet.from_name("landscapes"))
    networks = {
        "generator": tiny_generator(num_labels=12),
        "style_encoder": tiny_style_encoder(),
        "outline_model": tiny_outlines(num_labels=12),
    }
    dtypes: dict[str, Any] = {"generator": "int8", "style_encoder": "float16", "outline_model": "float16"}
    rounded = {name: exported_copy(network, dtypes[name]) for name, network in networks.items()}
    return SPADEPipeline(image_processor=processor, **rounded)


@pytest.fixture(scope="session")
def photographer(pipeline: SPADEPipeline) -> SPADEPipeline:
    """The same with a segmenter, whose weights are rounded, too."""
    segmenter = exported_copy(varied_segmenter(num_labels=12), "float16")
    return SPADEPipeline(**pipeline.components | {"segmenter": segmenter})


@pytest.fixture(scope="session")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def node(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Imports names, e.g. `{ randn } from "./random.js"`; returns what a function body makes of the value `given`."""
    if NODE is None:
        pytest.skip("no Node.js on this machine")
    folder = tmp_path_factory.mktemp("modules")
    build.copy_page(folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(names: str, body: str, given: Any) -> Any:
        (folder / "test.js").write_text(
            f"""import {names};
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
const answer = () => {{ {body} }};
console.log(JSON.stringify(await answer()));
"""
        )
        result = subprocess.run(
            [NODE, "test.js"], cwd=folder, input=json.dumps(given), capture_output=True, text=True, timeout=LONGEST
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def sites(
    build: ModuleType, pipeline: SPADEPipeline, photographer: SPADEPipeline, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The page, built with the real runtime: "plain", "natural" (an outline model) and "photos" (a segmenter)."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    try:
        runtime = build.fetch_runtime(tmp_path_factory.mktemp("npm"))
    except ValueError as error:
        pytest.skip(str(error))
    parts = tmp_path_factory.mktemp("parts")
    build.write_parts(photographer, parts, runtime, "sparse", "int8")
    reading = json.loads((parts / "config.json").read_text())["reading"]
    optional = {"outline_model": parts / "outlines.onnx", "segmenter": parts / "segmenter.onnx"}
    written = {component: file.read_bytes() for component, file in optional.items()}
    folders = {}
    for name, component in (("plain", None), ("natural", "outline_model"), ("photos", "segmenter")):
        left_out = optional.keys() - {component}
        for other in left_out:
            optional[other].unlink(missing_ok=True)
        if component is not None:
            optional[component].write_bytes(written[component])
        one = SPADEPipeline(**photographer.components | dict.fromkeys(left_out))
        files = {path.stem: path for path in parts.glob("*.onnx")}
        (parts / "config.json").write_text(json.dumps(build.page_config(one, files, reading)))
        folders[name] = tmp_path_factory.mktemp(name)
        build.publish(parts, folders[name])
    return folders


@pytest.fixture(scope="session")
def site(sites: dict[str, Path]) -> Path:
    return sites["plain"]


@pytest.fixture(scope="session")
def parts(site: Path) -> Path:
    return parts_of(site)


def parts_of(site: Path) -> Path:
    """The folder of the page's version."""
    (config,) = site.glob("*/config.json")
    return config.parent


@pytest.fixture(scope="session")
def url(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


@pytest.fixture(scope="session")
def natural_url(sites: dict[str, Path]) -> Iterator[str]:
    with served(sites["natural"]) as url:
        yield url


@pytest.fixture(scope="session")
def photos_url(sites: dict[str, Path]) -> Iterator[str]:
    with served(sites["photos"]) as url:
        yield url
