"""Files that the demo saves: a scene to continue later, and its parts to use elsewhere."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import save_file

from ..labels.label_set import LabelSet
from .mask_canvas import decode_runs, encode_runs
from .painter import Painter, Styles


SCENE_FORMAT = "spade_hf scene 1"


@dataclass(frozen=True)
class Scene:
    """A visitor's work: the canvas, int64 `(H, W)` of ids, the last two styles and their blend in [0, 1]."""

    label_map: np.ndarray
    styles: Styles | None
    blend: float

    def to_json(self, label_set: LabelSet) -> str:
        """Return the scene as the text of a file, with labels by name."""
        channels = label_set.ids_to_channels(self.label_map)
        values = {
            "format": SCENE_FORMAT,
            "labels": list(label_set.names),
            "size": list(channels.shape),
            "mask": encode_runs(channels),
            "blend": self.blend,
        }
        if self.styles is not None:
            values["styles"] = self.styles.to_list()
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str | bytes, label_set: LabelSet, latent_dim: int | None, max_pixels: int) -> "Scene":
        """Read a scene, also of another model, if this model has its labels.

        Args:
            text (`str` or `bytes`): From `to_json`.
            label_set (`LabelSet`): This model's.
            latent_dim (`int`, *optional*): This model's; the scene's styles are kept only if they fit it.
            max_pixels (`int`): A larger canvas is refused.

        Raises:
            ValueError: If it is not a scene, or has labels that this model does not know.
        """
        try:
            values = json.loads(text)
            if not isinstance(values, dict) or values.get("format") != SCENE_FORMAT:
                raise ValueError(f"its format is not {SCENE_FORMAT!r}")
            height, width = values["size"]
            if not (isinstance(height, int) and isinstance(width, int)):
                raise ValueError(f"its size is {height!r} and {width!r}, not two whole numbers")
            if not 0 < height * width <= max_pixels:
                raise ValueError(f"its canvas has {width}x{height} pixels, allowed are 1 to {max_pixels} in all")
            channels = decode_runs(values["mask"], (height, width))
            if not isinstance(values["labels"], list):
                raise ValueError("its labels are not a list")
            names = [str(name) for name in values["labels"]]
            if channels.max() >= len(names):
                raise ValueError("its mask has a label without name")
            blend = values["blend"]
            if not (isinstance(blend, int | float) and 0 <= blend <= 1):  # also true of NaN
                raise ValueError(f"its blend is {blend!r}, allowed is 0 to 1")
            entries = values.get("styles")
            styles = None if entries is None or latent_dim is None else Styles.from_list(entries, latent_dim)
        except (KeyError, TypeError, AttributeError, OverflowError, ValueError, RecursionError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"This file is not a scene of this demo: {reason}.") from error
        used = np.unique(channels)
        if strangers := [names[i] for i in used if names[i] not in label_set.names]:
            raise ValueError(f"The scene has labels that this model does not know: {', '.join(strangers[:10])}.")
        table = np.zeros(len(names), dtype=np.int64)
        table[used] = [label_set.id_of(names[i]) for i in used]
        return cls(table[channels], styles, float(blend))


def _save_colors(scene: Scene, painter: Painter, path: Path) -> None:
    Image.fromarray(painter.canvas_labels.colorize(painter.at_image_size(scene.label_map))).save(path)


def _save_ids(scene: Scene, painter: Painter, path: Path) -> None:
    label_map = painter.at_image_size(scene.label_map)
    Image.fromarray(label_map.astype(np.uint8 if label_map.max() < 256 else np.uint16)).save(path)


def _save_latents(scene: Scene, painter: Painter, path: Path) -> None:
    if scene.styles is None:
        raise ValueError("This model has no styles, so there is none to save.")
    style = scene.styles.blend(scene.blend)
    save_file({"latents": style.latents.contiguous()}, path, metadata={"style": style.name})


def _save_scene(scene: Scene, painter: Painter, path: Path) -> None:
    path.write_text(scene.to_json(painter.canvas_labels), encoding="utf-8")


SCENE_FILE = "scene.spade.json"
DOWNLOADS: dict[str, tuple[str, Callable[[Scene, Painter, Path], None]]] = {
    "Mask": ("mask_colours.png", _save_colors),
    "Gray mask": ("mask_ids.png", _save_ids),
    "Style": ("latents.safetensors", _save_latents),
    "Scene": (SCENE_FILE, _save_scene),
}


def new_path(cache: str | Path, name: str) -> Path:
    """Return the path of a file `name` in a new folder of Gradio's cache, where it is served and later deleted."""
    folder = Path(cache) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder / name
