"""Paint with an exported model; needs only onnxruntime, numpy and pillow.

    spade-hf export --output generator.onnx --style-encoder encoder.onnx
    python examples/onnx_inference.py generator.onnx image.png --mask mask.png --encoder encoder.onnx --style noon.jpg
    python examples/onnx_inference.py generator.onnx image.png --mask mask.png --condition depth.npy

A mask holds label ids. Without `--style`, the style is random. Conditions and style images are pictures or `.npy` of
`(H, W)` or `(H, W, C)`; the image is a picture too, or `.npy`, which can hold any channels and values.
"""

import argparse
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


EXACT_FORMATS = ("PNG", "BMP", "GIF", "TIFF")  # of masks: compression as in JPEG changes ids
FORMATS = (*EXACT_FORMATS, "JPEG", "WEBP")
SETTINGS = ("image_size", "latent_dim", "use_instance_edges", "image_channels", "value_range")
SETTINGS += ("condition_channels", "condition_range")


def read_ids(file: str, size: tuple[int, int]) -> np.ndarray:
    """Read a mask of label ids at a height and width: int64 `(1, H, W)`."""
    image = Image.open(file, formats=EXACT_FORMATS)
    label_ids = np.array(image.resize(size[::-1], Image.Resampling.NEAREST), dtype=np.int64)[None]
    if label_ids.ndim != 3:
        sys.exit(f"{file} is a picture in colors; give one of label ids. The file's metadata has both, as `labels`.")
    return label_ids


def read_values(file: str, size: tuple[int, int], count: int, value_range: list[float] | None) -> np.ndarray:
    """Read a picture or array of `count` channels at a height and width: float32 `(1, C, H, W)` in [-1, 1]."""
    if file.endswith(".npy"):
        values = np.atleast_3d(np.load(file))  # (H, W, C)
    else:
        image = Image.open(file, formats=FORMATS)
        values = np.atleast_3d(np.array(image.convert("RGB") if count == 3 else image))
    if values.shape[-1] != count:
        sys.exit(f"{file} has {values.shape[-1]} channels; this model reads {count}.")
    low, high = value_range or (0, np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1)
    scaled = ((values.astype(np.float32) - low) / (high - low)).clip(0, 1)
    planes = [Image.fromarray(scaled[..., channel]) for channel in range(count)]
    resized = [plane.resize(size[::-1], Image.Resampling.BILINEAR) for plane in planes]  # antialiased
    return np.stack(resized)[None].astype(np.float32) * 2 - 1


def write_values(image: np.ndarray, file: str, value_range: list[float] | None) -> None:
    """Write an image `(H, W, C)` in [-1, 1] in the data's units: `.npy`, gray or RGB of 8 bits, or gray of 16 bits."""
    low, high = value_range or (0, 255)
    values = (image.clip(-1, 1) + 1) / 2 * (high - low) + low
    if file.endswith(".npy"):
        np.save(file, values)
    elif image.shape[-1] not in (1, 3) or low < 0 or not 255 <= high <= (255 if image.shape[-1] == 3 else 65535):
        sys.exit(
            f"{file} cannot hold {image.shape[-1]} channels of {low:g} to {high:g}; give a name that ends in .npy."
        )
    else:
        pixels = values.round().astype(np.uint8 if high <= 255 else np.uint16)
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file)


def main(arguments: list[str] | None = None) -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the generator's file")
    parser.add_argument("output")
    parser.add_argument("--mask", help="for a model with labels")
    parser.add_argument("--condition", help="for a model that reads one")
    parser.add_argument("--encoder", help="the style encoder's file, for --style")
    parser.add_argument("--style")
    args = parser.parse_args(arguments)

    generator = onnxruntime.InferenceSession(args.model)
    metadata = generator.get_modelmeta().custom_metadata_map
    settings = {name: json.loads(metadata[name]) for name in SETTINGS}
    size, names = settings["image_size"], {one.name for one in generator.get_inputs()}
    for name, given in (("label_ids", args.mask), ("condition", args.condition)):
        if (name in names) != (given is not None):
            option = "--mask" if name == "label_ids" else "--condition"
            sys.exit(f"{option} was given, but this model reads none." if given else f"This model needs {option}.")
    inputs = {}
    if args.mask is not None:
        inputs["label_ids"] = read_ids(args.mask, size)
    if args.condition is not None:
        channels, value_range = settings["condition_channels"], settings["condition_range"]
        inputs["condition"] = read_values(args.condition, size, channels, value_range)
    if args.encoder and args.style:
        encoder = onnxruntime.InferenceSession(args.encoder)
        its_size = json.loads(encoder.get_modelmeta().custom_metadata_map["image_size"])
        style = read_values(args.style, its_size, settings["image_channels"], settings["value_range"])
        inputs["latents"] = encoder.run(["latents"], {"pictures": style})[0]
    elif settings["latent_dim"] is not None:
        inputs["latents"] = np.random.default_rng().standard_normal((1, settings["latent_dim"]), dtype=np.float32)
    if settings["use_instance_edges"]:
        inputs["instance_edges"] = np.zeros(inputs["label_ids"].shape, dtype=bool)
    image = generator.run(["images"], inputs)[0][0].transpose(1, 2, 0)  # (H, W, C) in [-1, 1]
    write_values(image, args.output, settings["value_range"])


if __name__ == "__main__":
    main()
