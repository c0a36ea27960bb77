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


INPUTS = ("mask", "style_image", "instance_map")
PARAMETERS = ("num_images_per_mask", "height", "width", "color_tolerance", "seed")
MAX_IMAGES = 16  # of one request
MAX_PIXELS = 2048**2  # of one image
DATA_URL = re.compile(r"data:[^,]*,")  # before the base64 string of a browser's `canvas.toDataURL()`


class EndpointHandler:
    """Answers the requests of an endpoint.

    Args:
        path (`str`): Folder of the model.
    """

    def __init__(self, path: str = "") -> None:
        self.pipeline = SPADEPipeline.from_pretrained(path)
        self.pipeline.to("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, data: dict[str, Any]) -> PIL.Image.Image | list[PIL.Image.Image]:
        """Paint a mask.

        Args:
            data (`dict`): `inputs` is a dict of base64 strings or data URLs of image files: `mask` (ids or colors)
                and optionally `style_image` and `instance_map`. In place of it, the body of an `image/png` request: a
                mask in the label set's colors, since the server turns it to RGB. `parameters` has optionally
                `num_images_per_mask` (1 to 16), `height`, `width` (at most four megapixels), `color_tolerance` (see
                [`SPADEPipeline`]) and `seed`.

        Returns:
            `PIL.Image.Image` or a list of them: One image, or as many as `num_images_per_mask` says. The server
            answers with base64 strings of PNG files.

        Raises:
            ValueError: If the request is not valid; the server answers with status 400 and the message.
        """
        if "inputs" not in data:
            raise ValueError(f"The request has no `inputs`; send an image, or a dict of {', '.join(INPUTS)}.")
        inputs = _read_images(data["inputs"])
        parameters = dict(data.get("parameters") or {})
        if unknown := sorted(set(parameters) - set(PARAMETERS)):
            raise ValueError(f"`parameters` has {unknown}; allowed are {', '.join(PARAMETERS)}.")
        num_images = parameters.get("num_images_per_mask", 1)
        if type(num_images) is not int or not 1 <= num_images <= MAX_IMAGES:
            raise ValueError(f"`num_images_per_mask` is {num_images!r}; allowed are 1 to {MAX_IMAGES}.")
        seed = parameters.pop("seed", None)
        if seed is not None and type(seed) is not int:
            raise ValueError(f"`seed` is {seed!r}; allowed are whole numbers.")
        _check_size(inputs["mask"], parameters.get("height"), parameters.get("width"))
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        images = self.pipeline(**inputs, **parameters, generator=generator).images
        return images[0] if num_images == 1 else images


def _read_images(inputs: Any) -> dict[str, PIL.Image.Image]:
    if isinstance(inputs, PIL.Image.Image):
        return {"mask": inputs}
    if not isinstance(inputs, dict):
        raise ValueError(f"`inputs` is a {type(inputs).__name__}; send an image, or a dict of {', '.join(INPUTS)}.")
    if unknown := sorted(set(inputs) - set(INPUTS)):
        raise ValueError(f"`inputs` has {unknown}; allowed are {', '.join(INPUTS)}.")
    if "mask" not in inputs:
        raise ValueError("`inputs` has no `mask`; send the base64 string of an image file.")
    return {name: _decode(name, text) for name, text in inputs.items()}


def _check_size(mask: PIL.Image.Image, height: Any, width: Any) -> None:
    """Raise a ValueError if an image would be too large; a side that is not given follows the mask's proportions."""
    for name, size in (("height", height), ("width", width)):
        if size is not None and type(size) is not int:
            raise ValueError(f"`{name}` is {size!r}; allowed are whole numbers.")
    height, width = (
        height or (width or 0) * mask.height / mask.width,
        width or (height or 0) * mask.width / mask.height,
    )
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"`height` and `width` ask for {round(height)}x{round(width)} pixels; allowed are {MAX_PIXELS} in all."
        )


def _decode(name: str, text: Any) -> PIL.Image.Image:
    # Only the file itself: with a path or a URL, a client could have the server read what it cannot read itself.
    try:
        if isinstance(text, str):
            text = "".join(text.split())  # base64 often comes in lines
            text = DATA_URL.sub("", text, count=1) if text.startswith("data:") else text
        image = open_raster(BytesIO(base64.b64decode(text, validate=True)))
        image.load()
    except (TypeError, ValueError, OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f"`{name}` is not the base64 string of an image file: {error}.") from error
    return image
