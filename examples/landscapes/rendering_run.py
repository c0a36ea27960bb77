"""Rendering of the layouts that a data set's folder lacks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from contact_sheet import save_contact_sheet
from dataset_folder import DatasetFolder, encode_labels, encode_row
from datasets import disable_progress_bars
from label_tracing import render_labels
from layout import draw_layout
from renderer import Renderer
from tqdm import tqdm
from vocabulary import STYLES


class RenderingRun:
    """One run of the renderer, new or resuming a stopped run.

    Args:
        output_dir: folder of the data set.
        splits: the split of each layout to render.
        size: pixels per side.
        samples_per_pixel: paths per pixel, before denoising.
        styles: images per layout.
        style_names: styles to take in turn; `None` shuffles all of them, in another order for each layout.
        kind: kind of all layouts; `None` lets a layout's number decide.
        labels_only: one label map per layout, which its images would have, and no images.

    Raises:
        ValueError: the folder holds something that this run cannot be added to.
    """

    def __init__(
        self,
        output_dir: Path,
        splits: dict[int, str],
        *,
        size: int,
        samples_per_pixel: int,
        styles: int,
        style_names: list[str] | None,
        kind: str | None,
        labels_only: bool = False,
    ):
        self.splits = splits
        self.size = size
        self.samples_per_pixel = samples_per_pixel
        self.styles = styles
        self.style_names = style_names
        self.kind = kind
        self.labels_only = labels_only
        content = dict(labels_only=True) if labels_only else dict(styles=styles, style_names=style_names)
        settings = dict(size=size, samples_per_pixel=samples_per_pixel, **content, kind=kind)
        self.folder = DatasetFolder(output_dir, settings)
        self.missing = self.folder.missing(splits)

    def render_missing(self) -> None:
        """Render layout by layout, with a progress bar. A layout is written when all of its images are there."""
        disable_progress_bars()  # those of `datasets`, one per file
        complete = len(self.splits) - len(self.missing)
        total, initial = len(self.splits) * self.styles, complete * self.styles
        with tqdm(total=total, initial=initial, unit="map" if self.labels_only else "picture") as progress:
            for number in self.missing:
                rows = []
                for row in self._render_layout(number):
                    rows.append(row)
                    progress.set_postfix({name: row[name] for name in ("layout", "kind", "style") if name in row})
                    progress.update()
                self.folder.add(self.splits[number], number, rows)

    def save_sheet(self, path: Path) -> None:
        """Write all layouts of this run as one image."""
        save_contact_sheet([self.folder.path(split, number) for number, split in self.splits.items()], path)

    def _render_layout(self, number: int) -> Iterator[dict]:
        """Yield the rows of one layout. A repeated style is another variant of it."""
        layout = draw_layout(number, self.kind)
        if self.labels_only:
            labels = render_labels(layout, self.size, self.samples_per_pixel)
            yield encode_labels(labels, layout=number, index=0, kind=layout.kind)
            return
        renderer = Renderer(layout, self.size, self.samples_per_pixel)
        names = self.style_names or [str(name) for name in np.random.default_rng(number).permutation(list(STYLES))]
        for index in range(self.styles):
            variant, position = divmod(index, len(names))
            rendering = renderer.render(names[position], variant)
            yield encode_row(
                rendering.image,
                rendering.labels,
                layout=number,
                index=index,
                kind=layout.kind,
                style=names[position],
                sun_elevation=rendering.sun_elevation,
            )
