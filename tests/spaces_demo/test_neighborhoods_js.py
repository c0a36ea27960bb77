"""The page's search for distinct neighbourhoods, run by Node.js, finds what the library's does."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spade_hf.export import neighborhood_inputs

from ..waiting import LONGEST


MODULE = Path(__file__).parents[2] / "spaces_demo" / "browser" / "neighborhoods.js"
NODE = shutil.which("node")
SCRIPT = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { neighborhoodInputs } = await import("data:text/javascript," + encodeURIComponent(source));
const { codes, height, width, reading } = JSON.parse(readFileSync(0, "utf8"));
const inputs = neighborhoodInputs(Int32Array.from(codes), height, width, reading);
for (const array of Object.values(inputs)) array.data = Array.from(array.data);
console.log(JSON.stringify(inputs));
"""


@pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")
@pytest.mark.parametrize(("num_codes", "kernel_size"), [(4, 3), (300, 5), (3, 1)])
def test_it_finds_the_same(num_codes, kernel_size):
    codes = np.random.default_rng(0).integers(num_codes, size=(8, 6)).repeat(8, 0).repeat(8, 1)
    reading = {"num_codes": num_codes, "kernel_size": kernel_size, "divisors": [4, 1]}
    height, width = codes.shape
    case = {"codes": codes.flatten().tolist(), "height": height, "width": width, "reading": reading}
    command = [NODE, "--input-type=module", "--eval", SCRIPT, str(MODULE)]
    result = subprocess.run(command, input=json.dumps(case), capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    found = {name: np.reshape(one["data"], one["dims"]) for name, one in json.loads(result.stdout).items()}
    expected = neighborhood_inputs(codes, **reading)
    assert found.keys() == expected.keys()
    for name, array in expected.items():  # the two number what they find in another order
        assert found[name].shape == array.shape
    for divisor in reading["divisors"]:
        assert np.array_equal(shown(found, divisor), shown(expected, divisor))


def shown(inputs: dict[str, np.ndarray], divisor: int) -> np.ndarray:
    """The codes around each position."""
    patches, neighborhoods, positions = (
        inputs[f"{name}_{divisor}"] for name in ("patches", "neighborhoods", "positions")
    )
    return patches[neighborhoods][positions]
