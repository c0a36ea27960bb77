"""Label sets: the ids of a label map, their names and colors, and their semantic channels.

In the whole library, semantic channels are the ids in ascending order, the unknown id included. This matches the
public SPADE checkpoints (COCO-Stuff: 0..181, and 255 -> 182; ADE20K: 0 = unknown -> 0, 1..150).

Legend: N batch, L semantic channels (classes and unknown, never edges), H W height and width.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from .color_table import read_color_table
from .colors import Color, checked_color, rows_of_colors, voc_colors
from .forms import KEYS, read_form
from .label import Label


BUILT_IN_FOLDER = Path(__file__).parent / "tables"
BLACK: Color = (0, 0, 0)
MAX_ID = 65535  # label files are 8- or 16-bit PNGs
UNPAINTED_ID = 255  # where a set without unknown label has to say that nothing is painted


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set. Immutable; two sets with the same content are equal.

    Args:
        name (`str`): Name of the set in messages.
        labels (`tuple[Label, ...]`): The classes, ids in `0..65535`. The unknown label can be among them; otherwise
            it is added under the name "unknown" in black (or, if a class is black, in the next free color).
        unknown_id (`int`, *optional*): The id of pixels without class, e.g. 255. `None`: every pixel has a class.
        distinct_colors (`dict[int, Color]`, *optional*): Replacements, by id, for colors that several classes share,
            so that `palette` is invertible. `labels` keep the official colors.

    Attributes:
        labels (`tuple[Label, ...]`): One label per semantic channel, ids ascending, unknown included.

    Raises:
        ValueError: If an id, name or palette color occurs twice, or a value is outside its range.
    """

    name: str
    labels: tuple[Label, ...]
    unknown_id: int | None = None
    distinct_colors: Mapping[int, Color] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        labels = [Label(self._checked_id(i), name, checked_color(color, self.name)) for i, name, color in self.labels]
        replacements = {self._checked_id(i): checked_color(c, self.name) for i, c in self.distinct_colors.items()}
        if self.unknown_id is not None:
            object.__setattr__(self, "unknown_id", self._checked_id(self.unknown_id))
        if self.unknown_id is not None and self.unknown_id not in {label.id for label in labels}:
            taken = {label.color for label in labels} | set(replacements.values())
            free = BLACK if BLACK not in taken else next(color for color in voc_colors() if color not in taken)
            labels.append(Label(self.unknown_id, "unknown", free))
        object.__setattr__(
            self, "labels", tuple(sorted(labels, key=lambda label: label.id))
        )  # the only writes to a frozen instance
        object.__setattr__(self, "distinct_colors", replacements)
        self._check()

    def _checked_id(self, label_id: Any) -> int:
        if not isinstance(label_id, Integral) or isinstance(label_id, bool):
            raise ValueError(f"label set '{self.name}' has the id {label_id!r}; an id is an integer in 0..{MAX_ID}.")
        return int(label_id)

    def _check(self) -> None:
        if bad := [name for name in (self.name, *self.names) if not isinstance(name, str)]:
            raise ValueError(f"label set '{self.name}' has the name {bad[0]!r}; names are texts.")
        if self.num_labels < 1:
            raise ValueError(f"`labels` of label set '{self.name}' has no class; give at least one besides unknown.")
        if bad := [i for i in self.ids if not 0 <= i <= MAX_ID]:
            raise ValueError(f"`labels` of label set '{self.name}' has ids {bad}; allowed are 0..{MAX_ID}.")
        for what, values in (("id", self.ids), ("name", self.names), ("color", map(tuple, self.palette.tolist()))):
            value, times = Counter(values).most_common(1)[0]
            if times > 1:
                remedy = "make them differ, or give `distinct_colors`" if what == "color" else "make each one unique"
                raise ValueError(f"label set '{self.name}' uses the {what} {value!r} {times} times; {remedy}.")
        if other_ids := sorted(set(self.distinct_colors) - set(self.ids)):
            raise ValueError(f"`distinct_colors` has ids {other_ids}, which label set '{self.name}' does not have.")

    @classmethod
    def from_name(cls, name: str) -> "LabelSet":
        """Load a built-in label set, one of `built_in_names()` such as "ade20k"; ValueError for another name."""
        if name not in cls.built_in_names():
            raise ValueError(
                f"`name` is {name!r}; the built-in label sets are {', '.join(cls.built_in_names())}. "
                "Read your own with `LabelSet.from_file`."
            )
        return cls.from_file(BUILT_IN_FOLDER / f"{name}.json")

    @staticmethod
    def built_in_names() -> tuple[str, ...]:
        """Return the names that `from_name` takes, in alphabetical order."""
        return tuple(sorted(path.stem for path in BUILT_IN_FOLDER.glob("*.json")))

    @classmethod
    def from_file(cls, path: str | Path) -> "LabelSet":
        """Read a JSON file in a form that `from_dict` takes, or a table of classes, `.txt` or `.csv`.

        A table has one line per class, e.g. `128 64 128 road`, `7,road` or `road`, see `read_color_table`.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")  # Excel's CSV files start with a byte order mark
            values = read_color_table(text) if Path(path).suffix.lower() in (".txt", ".csv") else json.loads(text)
            values = {"labels": values} if isinstance(values, list) else values
            return cls.from_dict({"name": Path(path).stem, **values})
        except (OSError, RecursionError, TypeError, ValueError) as error:  # no file, no JSON object, no label set
            raise ValueError(f"`path` {str(path)!r} cannot be read as a label set: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LabelSet":
        """Build a label set from plain values.

        Args:
            values (`dict`): `{"name", "ignore_index", "labels": [{"id", "name", "color"}], "distinct_colors": [{"id",
                "color"}]}`, as `to_dict` returns it, or one of the forms of other programs: `{"id2label": {"0":
                "sky"}, "palette": [[r, g, b]], "ignore_label"}`, with one palette row per id in ascending order;
                COCO's `{"categories": [{"id", "name", "color"}]}`, see `read_categories`; datumaro's `{"label_map":
                {"0": "sky"}, "segmentation_colors": [[r, g, b]]}`; `labels` without ids, in their order; or only
                `{"0": "sky"}` or `{"sky": 0}`. Without colors, they are those of the PASCAL VOC map. Other keys are
                ignored.

        Raises:
            ValueError: If a key is missing or a value is not valid.
        """
        is_class = isinstance(values.get("name"), int) and not set(KEYS) & set(values)  # a class called "name"
        name = "labels" if is_class else values.get("name", "labels")
        try:
            form = read_form(values)
            labels = tuple(Label(row["id"], row["name"], row["color"]) for row in form["labels"])
            replacements = {row["id"]: row["color"] for row in form["distinct_colors"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"label set '{name}' is not in a known form ({error!r}). It needs `labels`, a list of objects with "
                "`name`, `id` and `color`, or `id2label` with `palette`, or COCO's `categories`, or names by id."
            ) from error
        return cls(name=name, labels=labels, unknown_id=form["ignore_index"], distinct_colors=replacements)

    @classmethod
    def anonymous(cls, num_labels: int, use_unknown_label: bool = False) -> "LabelSet":
        """Build a set of "label 0", "label 1", ... in the colors of the PASCAL VOC map, for classes without names.

        Args:
            num_labels (`int`): Number of classes, in `1..65535`, without unknown. Their ids are `0..num_labels - 1`.
            use_unknown_label (`bool`, defaults to `False`): Whether to add an unknown id, which becomes the last
                channel: 255, or 65535 if 255 is a class's id (the largest values of 8-bit and 16-bit files).
        """
        if not 1 <= num_labels <= MAX_ID:
            raise ValueError(f"`num_labels` is {num_labels}; allowed are 1..{MAX_ID}.")
        colors = voc_colors()  # without black, the color of the unknown label
        labels = tuple(Label(i, f"label {i}", color) for i, color in zip(range(num_labels), colors, strict=False))
        unknown_id = None if not use_unknown_label else 255 if num_labels <= 255 else MAX_ID
        return cls(name=f"{num_labels} labels", labels=labels, unknown_id=unknown_id)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file, from which `from_dict` builds an equal label set."""
        return {
            "name": self.name,
            "ignore_index": self.unknown_id,
            "labels": [{"id": i, "name": name, "color": list(color)} for i, name, color in self.labels],
            "distinct_colors": [{"id": i, "color": list(color)} for i, color in self.distinct_colors.items()],
        }

    @property
    def num_labels(self) -> int:
        """Number of classes, without unknown."""
        return len(self.labels) - self.use_unknown_label

    @property
    def use_unknown_label(self) -> bool:
        """Whether pixels can be without class."""
        return self.unknown_id is not None

    def with_unknown(self) -> "LabelSet":
        """Return this set if it has an unknown label, else one with the unknown id 255.

        Raises:
            ValueError: If 255 is the id of a class.
        """
        if self.use_unknown_label:
            return self
        if UNPAINTED_ID in self.ids:
            raise ValueError(
                f"label set '{self.name}' has no unknown label, and {UNPAINTED_ID}, which would stand for it, is the "
                f"id of {self.id2label[UNPAINTED_ID]!r}. Give the label set an `ignore_index`."
            )
        return replace(self, unknown_id=UNPAINTED_ID)

    @property
    def unknown_channel(self) -> int | None:
        """The channel of pixels without class, at the unknown id's place among the ids; `None` if there is none."""
        return None if self.unknown_id is None else self.ids.index(self.unknown_id)

    @property
    def num_channels(self) -> int:
        """L: one channel per class plus one for unknown; the edge channel is added by the model."""
        return len(self.labels)

    @cached_property
    def class_channels(self) -> np.ndarray:
        """The channels of classes, int64 `(num_labels,)`, ascending: all but the unknown one."""
        return np.array([channel for channel in range(self.num_channels) if channel != self.unknown_channel])

    @cached_property
    def channel_classes(self) -> np.ndarray:
        """The class of each channel, int64 `(L,)`: its place in `class_channels`, or `num_labels` for unknown."""
        classes = np.full(self.num_channels, self.num_labels)
        classes[self.class_channels] = np.arange(self.num_labels)
        return classes

    @property
    def class_ids(self) -> np.ndarray:
        """The id of each class, int64 `(num_labels,)`, ascending: all but the unknown one."""
        return np.array(self.ids, dtype=np.int64)[self.class_channels]

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids, ascending, unknown included: `ids[channel]`."""
        return tuple(label.id for label in self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order of `ids`: `names[channel]`."""
        return tuple(label.name for label in self.labels)

    @property
    def id2label(self) -> dict[int, str]:
        """Id -> name, unknown included."""
        return {label.id: label.name for label in self.labels}

    @cached_property
    def palette(self) -> np.ndarray:
        """Colors that identify their label, uint8 `(L, 3)` in the order of `ids`; read-only."""
        colors = [self.distinct_colors.get(label.id, label.color) for label in self.labels]
        palette = np.array(colors, dtype=np.uint8)  # (L, 3)
        palette.setflags(write=False)
        return palette

    def id_of(self, name: str) -> int:
        """Return the id of the label called `name`; ValueError if there is none."""
        return self.ids[self.channel_of(name)]

    def channel_of(self, name: str) -> int:
        """Return the semantic channel of the label called `name`, in `0..L - 1`; ValueError if there is none."""
        if name not in self.names:
            known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
            raise ValueError(f"`name` is {name!r}; label set '{self.name}' has {known}.")
        return self.names.index(name)

    @cached_property
    def _channel_of_id(self) -> np.ndarray:
        table = np.full(self.ids[-1] + 1, -1, dtype=np.int64)  # -1: not an id of this set
        table[list(self.ids)] = np.arange(self.num_channels)
        return table

    def ids_to_channels(self, label_map: np.ndarray, *, argument: str = "`mask`") -> np.ndarray:
        """Turn ids into semantic channels.

        Args:
            label_map (`np.ndarray`): Any integer type and shape, ids of this set.
            argument (`str`): Name of `label_map` in error messages.

        Returns:
            `np.ndarray`: int64, same shape, values in `0..L - 1`. ValueError for other ids (it lists them) or dtypes.
        """
        if label_map.dtype.kind not in "iu":
            raise ValueError(f"{argument} has dtype {label_map.dtype}; label ids are integers. Convert it first.")
        table = self._channel_of_id
        inside = (label_map >= 0) & (label_map < len(table))
        if not inside.all() or (table[label_map] < 0).any():
            known = set(self.ids)
            other_ids = [i for i in np.unique(label_map).tolist() if i not in known]
            listed = str(other_ids) if len(other_ids) <= 10 else f"{str(other_ids[:10])[:-1]}, ...] ({len(other_ids)})"
            raise ValueError(
                f"{argument} has label ids {listed}; this label set knows ids {self.describe_ids()}. "
                "Remap them to these ids, or use a label set that has them."
            )
        return table[label_map]

    def channels_to_ids(self, channels: np.ndarray) -> np.ndarray:
        """Turn semantic channels, integers in `0..L - 1`, back into ids: int64, same shape."""
        if channels.size and not 0 <= channels.min() <= channels.max() < self.num_channels:
            raise ValueError(
                f"`channels` has values {channels.min()}..{channels.max()}; allowed are 0..{self.num_channels - 1}."
            )
        return np.array(self.ids, dtype=np.int64)[channels]

    def colorize(self, label_map: np.ndarray) -> np.ndarray:
        """Draw ids `(..., H, W)` in the palette's colors: uint8 `(..., H, W, 3)`. `ids_from_colors` undoes it."""
        return self.palette[self.ids_to_channels(label_map, argument="`label_map`")]

    def ids_from_colors(
        self, image: np.ndarray, *, color_tolerance: float | None = None, argument: str = "`mask`"
    ) -> np.ndarray:
        """Read a map that is drawn in the palette's colors.

        Args:
            image (`np.ndarray`): uint8 `(..., 3)`, RGB.
            color_tolerance (`float`, *optional*): A color off the palette counts as the nearest palette color up to
                this Euclidean distance in RGB, in `0..442`. `None`: colors must match exactly.
            argument (`str`): Name of `image` in error messages.

        Returns:
            `np.ndarray`: int64 ids `(...)`. ValueError for colors off the palette; it lists them with their counts.
        """
        channels = rows_of_colors(
            image, self.palette, color_tolerance=color_tolerance, argument=argument, palette_name=self.name
        )
        return np.array(self.ids, dtype=np.int64)[channels]

    def describe_ids(self) -> str:
        """Describe the ids, e.g. "0..11 and 255 (unknown)"."""
        classes = set(self.ids) - {self.unknown_id}
        runs = zip(*(sorted(i for i in classes if i + side not in classes) for side in (-1, 1)), strict=True)
        text = ", ".join(f"{first}..{last}" if first < last else f"{first}" for first, last in runs)
        return text if self.unknown_id is None else f"{text} and {self.unknown_id} (unknown)"
