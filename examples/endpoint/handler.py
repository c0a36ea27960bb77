"""Custom handler for Hugging Face Inference Endpoints: a mask in, an image out (docs/hub.md says how to deploy it).

Put this file and a `requirements.txt` that installs spade_hf into the model's repository, beside `model_index.json`.
"""

import base64
import re
from io import BytesIO
from typing import Any

import PIL.Image
import torch

from spade_hf import SPADEPipeline
from spade_hf.images.inputs import open_raster
from spade_hf.images.photo_files import Photo, open_photo, suffixes_of
from spade_hf.images.value_range import OF_CONDITIONS


INPUTS = ("mask", "style_image", "instance_map", "condition")
PARAMETERS = ("num_images_per_mask", "height", "width", "color_tolerance", "seed")
MAX_IMAGES = 16  # of one request
MAX_PIXELS = 2048**2  # of one image
DATA_URL = re.compile(r"data:[^,]*,")  # before the base64 string of a browser's `canvas.toDataURL()`


class EndpointHandler:
    """Answers the requests of an endpoint.

    Args:
        path (`str`): Folder of the model.

    Raises:
        ValueError: If PNG files cannot hold the model's images, such as those of five channels.
    """

    def __init__(self, path: str = "") -> None:
        self.pipeline = SPADEPipeline.from_pretrained(path)
        self.pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
        processor = self.pipeline.image_processor
        count, dtype = processor.config.image_channels, processor.stored_type
        if ".png" not in suffixes_of(count, dtype):
            raise ValueError(
                f"The model makes images of {count} channels of {dtype}, which PNG files cannot hold, and an endpoint "
                "answers with these. Paint with `spade-hf generate` instead."
            )

    def __call__(self, data: dict[str, Any]) -> PIL.Image.Image | list[PIL.Image.Image]:
        """Paint a mask.

        Args:
            data (`dict`): `inputs` is a dict of base64 strings or data URLs of image files: `mask` (ids or colors)
                and optionally `style_image` and `instance_map`; for a model that reads one, `condition`, also a TIFF
                or `.npy` file. In place of it, the body of an `image/png` request: a mask in the label set's colors,
                since the server turns it to RGB, or the condition of a model without labels. `parameters` has
                optionally `num_images_per_mask` (1 to 16), `height`, `width` (at most four megapixels),
                `color_tolerance` (see [`SPADEPipeline`]) and `seed`.

        Returns:
            `PIL.Image.Image` or a list of them: One image, or as many as `num_images_per_mask` says. The server
            answers with base64 strings of PNG files.

        Raises:
            ValueError: If the request is not valid; the server answers with status 400 and the message.
        """
        if "inputs" not in data:
            raise ValueError(f"The request has no `inputs`; send an image, or a dict of {', '.join(INPUTS)}.")
        inputs = self._read(data["inputs"])
        parameters = dict(data.get("parameters") or {})
        if unknown := sorted(set(parameters) - set(PARAMETERS)):
            raise ValueError(f"`parameters` has {unknown}; allowed are {', '.join(PARAMETERS)}.")
        num_images = parameters.get("num_images_per_mask", 1)
        if type(num_images) is not int or not 1 <= num_images <= MAX_IMAGES:
            raise ValueError(f"`num_images_per_mask` is {num_images!r}; allowed are 1 to {MAX_IMAGES}.")
        seed = parameters.pop("seed", None)
        if seed is not None and type(seed) is not int:
            raise ValueError(f"`seed` is {seed!r}; allowed are whole numbers.")
        _check_size(_size_of(inputs[self._drawn]), parameters.get("height"), parameters.get("width"))
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        images = self.pipeline(**inputs, **parameters, generator=generator).images
        return images[0] if num_images == 1 else images

    @property
    def _drawn(self) -> str:
        """The input whose proportions the image has."""
        return "mask" if self.pipeline.image_processor.has_labels else "condition"

    def _read(self, inputs: Any) -> dict[str, Photo]:
        if isinstance(inputs, PIL.Image.Image):
            return {self._drawn: inputs}
        if not isinstance(inputs, dict):
            raise ValueError(
                f"`inputs` is a {type(inputs).__name__}; send an image, or a dict of {', '.join(INPUTS)}."
            )
        if unknown := sorted(set(inputs) - set(INPUTS)):
            raise ValueError(f"`inputs` has {unknown}; allowed are {', '.join(INPUTS)}.")
        if self._drawn not in inputs:
            raise ValueError(f"`inputs` has no `{self._drawn}`; send the base64 string of an image file.")
        count = self.pipeline.image_processor.config.condition_channels
        return {
            name: _decode_condition(text, count) if name == "condition" else _decode(name, text)
            for name, text in inputs.items()
        }


def _size_of(image: Photo) -> tuple[int, int]:
    """Return height and width."""
    return (image.height, image.width) if isinstance(image, PIL.Image.Image) else image.shape[:2]


def _check_size(size: tuple[int, int], height: Any, width: Any) -> None:
    """Raise a ValueError if an image would be too large; a side that is not given follows the input's `size`."""
    for name, side in (("height", height), ("width", width)):
        if side is not None and type(side) is not int:
            raise ValueError(f"`{name}` is {side!r}; allowed are whole numbers.")
    height, width = (
        height or (width or 0) * size[0] / size[1],
        width or (height or 0) * size[1] / size[0],
    )
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"`height` and `width` ask for {round(height)}x{round(width)} pixels; allowed are {MAX_PIXELS} in all."
        )


def _decode(name: str, text: Any) -> PIL.Image.Image:
    try:
        image = open_raster(BytesIO(_content(text)))
        image.load()
    except (TypeError, ValueError, OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f"`{name}` is not the base64 string of an image file: {error}.") from error
    return image


def _decode_condition(text: Any, count: int) -> Photo:
    try:
        content = _content(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`condition` is not the base64 string of a file: {error}.") from error
    return open_photo(content, argument="`condition`", image_channels=count, options=OF_CONDITIONS)


def _content(text: Any) -> bytes:
    # Only the file itself: with a path or a URL, a client could have the server read what it cannot read itself.
    if isinstance(text, str):
        text = "".join(text.split())  # base64 often comes in lines
        text = DATA_URL.sub("", text, count=1) if text.startswith("data:") else text
    return base64.b64decode(text, validate=True)
