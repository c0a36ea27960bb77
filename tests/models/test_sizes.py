"""Every generator tells its native size and which sizes it makes."""

import pytest

from spade_hf.models.semantics import as_size

from ..tiny_networks import tiny_concatenation, tiny_generator, tiny_pix2pixhd


@pytest.mark.parametrize("image_size", [64, (64, 96), [64, 96]])
def test_native_size_of_an_integer_and_of_a_pair(image_size):
    expected = (64, 64) if image_size == 64 else (64, 96)
    assert as_size(image_size) == expected
    assert tiny_generator(image_size=image_size).native_size == expected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (tiny_generator, r"`size` is 50x64 \(height x width\); both must be multiples of 32 .*such as 64x64"),
        (tiny_concatenation, "`size` is 50x64 .*multiples of 32 .*such as 64x64"),
        (tiny_pix2pixhd, "`size` is 50x64 .*multiples of 4, and at least 8"),
    ],
)
def test_sizes_are_checked_by_the_generator(build, message: str):
    generator = build()
    generator.check_size(64, 96, "`size`")
    with pytest.raises(ValueError, match=message):
        generator.check_size(50, 64, "`size`")


def test_instance_norm_needs_two_positions():
    with pytest.raises(ValueError, match="`size` is 32x32: the first activation is a single position"):
        tiny_generator(norm_type="instance").check_size(32, 32, "`size`")
