"""The static page's build script, and its modules as Node.js runs them."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spade_hf import LabelSet, SPADEImageProcessor, SPADEPipeline
from spade_hf.export.models import exported_copy

from ..tiny_networks import tiny_generator, tiny_outlines, tiny_style_encoder
from ..waiting import LONGEST


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
    rounded = {name: exported_copy(network, "float16") for name, network in networks.items()}
    return SPADEPipeline(image_processor=processor, **rounded)


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
