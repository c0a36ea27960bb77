"""Arguments for the three public SPADE checkpoints (Park et al. 2019) that their weights do not contain."""

from typing import Literal, TypedDict


class Preset(TypedDict):
    """Arguments of [`convert_nvlabs_checkpoint`]: `convert_nvlabs_checkpoint(path, **PRESETS["coco"])`."""

    label_set: str
    use_instance_edges: bool
    image_size: tuple[int, int]  # height, width
    num_upsampling_layers: Literal["normal", "more", "most"]


PRESETS: dict[str, Preset] = {
    # ids 1..150, 0 unknown: 151 channels; starts at 8x8
    "ade20k": {
        "label_set": "ade20k",
        "use_instance_edges": False,
        "image_size": (256, 256),
        "num_upsampling_layers": "normal",
    },
    # ids 0..181, 255 unknown, edges: 184 channels; starts at 8x8
    "coco": {
        "label_set": "coco-stuff",
        "use_instance_edges": True,
        "image_size": (256, 256),
        "num_upsampling_layers": "normal",
    },
    # labelIds 0..34, no unknown, edges: 36 channels; starts at 4x8
    "cityscapes": {
        "label_set": "cityscapes",
        "use_instance_edges": True,
        "image_size": (256, 512),
        "num_upsampling_layers": "more",
    },
}
PRESET_OF_CHANNELS = {151: "ade20k", 184: "coco", 36: "cityscapes"}  # semantic channels -> preset
