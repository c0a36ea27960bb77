"""The page's random styles, drawn by Node.js, are PyTorch's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from ..waiting import LONGEST


MODULE = Path(__file__).parents[2] / "spaces_demo" / "browser" / "random.js"
NODE = shutil.which("node")
SCRIPT = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1], "utf8");
const { randn } = await import("data:text/javascript," + encodeURIComponent(source));
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(([seed, count]) => Array.from(randn(seed, count)))));
"""


@pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")
def test_the_same_seed_gives_the_same_numbers():
    cases = [(0, 64), (7, 1), (12, 8), (2**31 - 1, 15), (5, 40), (999_999, 700)]
    command = [NODE, "--input-type=module", "--eval", SCRIPT, str(MODULE)]
    result = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=LONGEST)
    assert result.returncode == 0, result.stderr
    for (seed, count), numbers in zip(cases, json.loads(result.stdout), strict=True):
        expected = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(torch.tensor(numbers), expected, atol=1e-6, rtol=1e-5)
