"""Paint a mask of label ids with an exported model; needs only onnxruntime, numpy and pillow.

    spade-hf export --output generator.onnx --style-encoder encoder.onnx
    python examples/onnx_inference.py generator.onnx mask.png image.png encoder.onnx noon.jpg

Without the last two arguments, the style is random.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


EXACT_FORMATS = ("PNG", "BMP", "GIF", "TIFF")  # of masks: compression as in JPEG changes ids
FORMATS = (*EXACT_FORMATS, "JPEG", "WEBP")


def main(model: str, mask: str, output: str, encoder: str | None = None, style: str | None = None) -> None:
    """Write the image."""
    generator = onnxruntime.InferenceSession(model)
    settings = generator.get_modelmeta().custom_metadata_map
    height, width = json.loads(settings["image_size"])
    image = Image.open(mask, formats=EXACT_FORMATS)
    label_ids = np.array(image.resize((width, height), Image.Resampling.NEAREST), dtype=np.int64)[None]
    if label_ids.ndim != 3:  # (1, H, W)
        sys.exit(f"{mask} is a picture in colors; give one of label ids. The file's metadata has both, as `labels`.")
    inputs = {"label_ids": label_ids}
    if encoder and style:
        network = onnxruntime.InferenceSession(encoder)
        size = json.loads(network.get_modelmeta().custom_metadata_map["image_size"])
        style_image = Image.open(style, formats=FORMATS).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        pixels = np.array(style_image, dtype=np.float32)
        inputs["latents"] = network.run(["latents"], {"pictures": pixels.transpose(2, 0, 1)[None] / 127.5 - 1})[0]
    elif (latent_dim := json.loads(settings["latent_dim"])) is not None:
        inputs["latents"] = np.random.default_rng().standard_normal((1, latent_dim), dtype=np.float32)
    if json.loads(settings["use_instance_edges"]):
        inputs["instance_edges"] = np.zeros(label_ids.shape, dtype=bool)
    image = generator.run(["images"], inputs)[0][0].transpose(1, 2, 0)  # (H, W, 3) in [-1, 1]
    Image.fromarray(((image + 1) * 127.5).round().clip(0, 255).astype(np.uint8)).save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
