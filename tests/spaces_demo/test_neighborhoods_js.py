"""The page's search for distinct neighborhoods, run by Node.js, finds what the library's does."""

import numpy as np
import pytest

from spade_hf.export import neighborhood_inputs


pytestmark = pytest.mark.pages

BODY = """
const { codes, height, width, reading } = given;
const inputs = neighborhoodInputs(Int32Array.from(codes), height, width, reading);
for (const array of Object.values(inputs)) array.data = Array.from(array.data);
return inputs;
"""


def found_by_node(node, codes: np.ndarray, reading: dict) -> dict[str, np.ndarray]:
    height, width = codes.shape
    case = {"codes": codes.flatten().tolist(), "height": height, "width": width, "reading": reading}
    inputs = node('{ neighborhoodInputs } from "./neighborhoods.js"', BODY, case)
    return {name: np.reshape(one["data"], one["dims"]) for name, one in inputs.items()}


@pytest.mark.parametrize(("num_codes", "kernel_size"), [(4, 3), (300, 5), (3, 1)])
def test_it_finds_the_same(node, num_codes, kernel_size):
    codes = np.random.default_rng(0).integers(num_codes, size=(8, 6)).repeat(8, 0).repeat(8, 1)
    reading = {"num_codes": num_codes, "kernel_size": kernel_size, "divisors": [4, 1]}
    found, expected = found_by_node(node, codes, reading), neighborhood_inputs(codes, **reading)
    assert found.keys() == expected.keys()
    for name, array in expected.items():  # the two number what they find in another order
        assert found[name].shape == array.shape
    for divisor in reading["divisors"]:
        assert np.array_equal(shown(found, divisor), shown(expected, divisor))


def test_windows_that_differ_in_the_last_bit_of_a_long_key(node):
    """3000 codes to the power of 5 taps are more than the whole numbers of a double: keys are renumbered before."""
    codes = np.full((10, 12), 2999)
    codes[5, 6:] = 2998
    codes[6, 7:] = 2998
    reading = {"num_codes": 3000, "kernel_size": 5, "divisors": [1]}
    found, expected = found_by_node(node, codes, reading), neighborhood_inputs(codes, **reading)
    assert np.array_equal(shown(found, 1), shown(expected, 1))


def shown(inputs: dict[str, np.ndarray], divisor: int) -> np.ndarray:
    """The codes around each position."""
    patches, neighborhoods, positions = (
        inputs[f"{name}_{divisor}"] for name in ("patches", "neighborhoods", "positions")
    )
    return patches[neighborhoods][positions]
