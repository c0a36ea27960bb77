"""The page's half of the table of outlines, run by Node.js; the other is in tests/pipelines/test_outline_cases.py."""

import json

import numpy as np
import pytest

from .. import outline_cases


pytestmark = pytest.mark.pages

CASES = json.loads(outline_cases.FILE.read_text(encoding="utf-8"))
READ = f"""
const letters = "{outline_cases.LABELS}";
const read = (rows) => Int32Array.from([...rows.join("")], (letter) => (letters + ".").indexOf(letter));
const rowsOf = (text, width) => (text ? [text.slice(0, width), ...rowsOf(text.slice(width), width)] : []);
const written = (labels, width) => rowsOf([...labels].map((label) => letters[label]).join(""), width);
"""


def test_natural_maps(node):
    body = (
        READ
        + """
const { noisy, painted, level } = given.network;
const linear = (labelMap, calls, width) => async (map, logSnr) => {
  const area = labelMap.length;
  const at = (place) => noisy.map((_, label) => map[label * area + place]);
  calls.push({ log_snr: logSnr, noisy: [...at(0), ...at(7 * width + 16)] });
  const logitOf = (label, i) => noisy[label].reduce((sum, weight, k) => sum + weight * map[k * area + i], 0)
    + painted[label][labelMap[i]] + level[label] * logSnr;
  return map.map((_, i) => logitOf(Math.floor(i / area), i % area));
};
return Promise.all(given.refined.map(async ({ painted: rows, strength, steps, seed }) => {
  const [labelMap, width, calls] = [read(rows), rows[0].length, []];
  const noise = randn(seed, letters.length * labelMap.length);
  const options = { ...given.levels, width, strength, steps };
  const natural = await refine(linear(labelMap, calls, width), labelMap, noise, options);
  return { calls, natural: written(natural, width) };
}));
"""
    )
    names = '{ refine } from "./outlines.js"; import { randn } from "./random.js"'
    for case, found in zip(CASES["refined"], node(names, body, CASES), strict=True):
        for one, expected in zip(found["calls"], case["calls"], strict=True):
            assert one["log_snr"] == pytest.approx(expected["log_snr"], abs=1e-5)
            assert one["noisy"] == pytest.approx(expected["noisy"], abs=1e-4)
        assert found["natural"] == case["natural"]


def test_a_network_that_stops(node):
    body = """
let calls = 0;
const run = async (map) => (++calls < 3 ? map : null);
const options = { width: 2, strength: 1, steps: 4, min_log_snr: -12, max_log_snr: 4 };
return refine(run, Int32Array.of(0, 1), new Float32Array(4), options).then((natural) => ({ natural, calls }));
"""
    assert node('{ refine } from "./outlines.js"', body, None) == {"natural": None, "calls": 3}


def test_parts(node):
    body = (
        READ
        + """
return given.map(({ painted }) => {
  const { numbers, ...found } = findParts(read(painted), painted[0].length);
  return { painted, ...found, first: found.labels.map((_, number) => numbers.indexOf(number)) };
});
"""
    )
    assert node('{ findParts } from "./outlines.js"', body, CASES["parts"]) == CASES["parts"]


def test_kept_parts(node):
    body = (
        READ
        + """
return given.map(({ painted, natural, seed }) => {
  const [width, labelMap] = [painted[0].length, read(painted)];
  return written(keepParts(labelMap, read(natural), randn(seed, letters.length * labelMap.length), width), width);
});
"""
    )
    names = '{ keepParts } from "./outlines.js"; import { randn } from "./random.js"'
    assert node(names, body, CASES["kept"]) == [case["kept"] for case in CASES["kept"]]


def test_maps_of_a_fraction_of_the_size(node):
    """For a generator with a half-size head, as `draw_natural_maps`: every second pixel, then four of each."""
    body = """
const [height, width, reduction, numLabels] = [4, 6, 2, 3];
const painted = Int32Array.from({ length: 24 }, (_, i) => i % 4);
const natural = reduced(painted, height, width, reduction);
const whole = (strength) => enlarged(natural, painted, { width, reduction, strength, numLabels });
return [natural, whole(1), whole(0)].map((map) => [...map]);
"""
    names = '{ enlarged } from "./outlines.js"; import { reduced } from "./neighborhoods.js"'
    natural, whole, kept = (np.array(found) for found in node(names, body, None))
    painted = np.arange(24).reshape(4, 6) % 4
    assert natural.tolist() == painted[::2, ::2].ravel().tolist()
    assert whole.tolist() == (enlarged := painted[::2, ::2].repeat(2, 0).repeat(2, 1)).ravel().tolist()
    assert kept.tolist() == np.where(painted < 3, painted, enlarged).ravel().tolist()
