"""The data set's README.md: metadata for `load_dataset` and the Hub, and information for users."""

import json

from vocabulary import LABELS, PALETTE, TRAINING_LAYOUTS


# (fewer images than, the Hub's name for the size)
SIZE_CATEGORIES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]

CARD = """---
license: cc0-1.0
pretty_name: {title}
task_categories:
{tasks}
tags:
- synthetic
- procedural
- landscapes
- semantic-image-synthesis
size_categories:
- {size_category}
configs:
- config_name: default
  data_files:
{data_files}
---

# {title}, {size}x{size}

{description}

| split | layouts | {unit} |
|---|---|---|
{splits}

| column | content |
|---|---|
{columns}

Labels: {labels}.

Layouts {first_training} to {last_training} are for training. Lower numbers are kept for evaluation, higher numbers for
judging models; both are in the split `test`. Do not train on them.

Rendered by `examples/landscapes/render.py` of spade_hf with `{settings}`.
The same layout at another size is the same scene.

**Weak spots**: {weak_spots}
"""

PAIRS = """\
{count} pairs of a picture and its label map: {layouts} procedural landscapes, each in {styles} {light} of light.
The pictures are renders, not photographs: Mitsuba 3 path-traces terrain, plants, water and clouds that are generated
from random numbers only. No photograph, scan or model was used, so they are free of third-party rights (CC0 1.0)."""

MAPS = """\
{count} label maps of procedural landscapes, without pictures. Terrain, plants, water and clouds are generated
from random numbers only. No photograph, scan or model was used, so they are free of third-party rights (CC0 1.0)."""

PAIR_COLUMNS = """| `image` | JPEG, quality 93, sRGB |
| `label` | PNG of label ids 0..{last_label}; `labels.json` has names and colors |
| `style` | light: noon, afternoon, golden, sunset, overcast, misty or dusk |
| `kind` | scene: lake, meadow, sea, river, snow, desert, road or forest |
| `layout` | number of the landscape; its pictures differ in light and share their labels up to about a pixel |
| `sun_elevation` | degrees above the horizon |"""
MAP_COLUMNS = """| `label` | PNG of label ids 0..{last_label}; `labels.json` has names and colors |
| `kind` | scene: lake, meadow, sea, river, snow, desert, road or forest |
| `layout` | number of the landscape; its renders of the same size have this label map |"""

PAIR_WEAK_SPOTS = """\
near conifers, flat foreground grass and smooth snow look rendered; mist can hide mountains that the
label map shows; there are no buildings, people or animals."""
MAP_WEAK_SPOTS = "there are no buildings, people or animals; the borders are more detailed than people paint them."


def data_card(settings: dict, layouts: dict[str, list[int]]) -> str:
    """Format the README.md of a data set.

    Args:
        settings: options of `render.py` that all images share.
        layouts: numbers of the layouts in each split.
    """
    is_labels_only = settings.get("labels_only", False)
    styles = 1 if is_labels_only else settings["styles"]
    count = sum(len(numbers) for numbers in layouts.values())
    light = "style" if styles == 1 else "styles"
    description = MAPS if is_labels_only else PAIRS
    columns = MAP_COLUMNS if is_labels_only else PAIR_COLUMNS
    return CARD.format(
        title="Label maps of landscapes" if is_labels_only else "Rendered landscapes",
        tasks="- unconditional-image-generation" if is_labels_only else "- image-segmentation\n- image-to-image",
        description=description.format(count=count * styles, layouts=count, styles=styles, light=light),
        columns=columns.format(last_label=len(LABELS) - 1),
        unit="label maps" if is_labels_only else "pictures",
        weak_spots=MAP_WEAK_SPOTS if is_labels_only else PAIR_WEAK_SPOTS,
        size=settings["size"],
        size_category=next((name for limit, name in SIZE_CATEGORIES if count * styles < limit), "n>1M"),
        data_files="\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in layouts),
        splits="\n".join(
            f"| {split} | {len(numbers)}: {ranges(numbers)} | {len(numbers) * styles} |"
            for split, numbers in layouts.items()
        ),
        labels=", ".join(f"{label} {name}" for label, name in enumerate(LABELS)),
        first_training=TRAINING_LAYOUTS.start,
        last_training=TRAINING_LAYOUTS.stop - 1,
        settings=json.dumps(settings),
    )


def ranges(numbers: list[int]) -> str:
    """Sort and abbreviate numbers: `1000-1003, 1005`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def labels_json() -> str:
    """Format labels.json: names and colors of the ids."""
    names = {str(label): name for label, name in enumerate(LABELS)}
    return json.dumps({"id2label": names, "palette": PALETTE, "ignore_label": None}, indent=1)
