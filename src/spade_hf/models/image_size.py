"""The sizes of images that a generator makes. Configs store the native one as an integer or a pair."""

from typing import Any


class ImageSizeMixin:
    """A generator with `image_size` in its config, whose images have sides of multiples of `size_divisor`."""

    config: Any
    size_divisor: int
    divisor_formula: str  # of `size_divisor`, for messages

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width, in pixels, of the images that the model is made for."""
        return as_size(self.config.image_size)

    def check_size(self, height: int, width: int, name: str) -> None:
        """Raise a ValueError unless the model can make images of this size.

        Args:
            height, width (`int`): In pixels.
            name (`str`): For the message, what has this size, such as "`segmap`".
        """
        divisor = self.size_divisor
        if height < divisor or width < divisor or height % divisor or width % divisor:
            raise ValueError(
                f"{name} is {height}x{width} (height x width); both must be multiples of {divisor} "
                f"({self.divisor_formula}), such as {nearest_multiple(height, divisor)}x"
                f"{nearest_multiple(width, divisor)}."
            )

    def first_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the first activation for images of this size."""
        return height // self.size_divisor, width // self.size_divisor


def nearest_multiple(side: int, divisor: int) -> int:
    """Return the multiple of `divisor`, at least 1 of it, that a side can be instead; for messages."""
    return max(1, round(side / divisor)) * divisor


def as_size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return H and W of a config's `image_size`: an integer, for a square, or a pair."""
    return (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
