"""Paint twelve scenes with a wide brush on the page of `spade-hf demo`, in Chromium; save their masks.

python research/paint_strokes.py --output_dir examples/assets/strokes
python examples/outline_sheet.py                                             # then the sheet of them

The scenes are in stroke_scenes.py. The mouse paints them as a hand does, stroke by stroke with pauses, and trembles;
the page paints its pictures meanwhile. Needs Chromium and the extras demo and test.
"""

import argparse
import random
from pathlib import Path

from painting_pages import chromium, served, stroke, visit
from playwright.sync_api import Page
from stroke_scenes import SCENES, Stroke, hand_path, seconds_of

from spade_hf import BUNDLED_MODEL


AFTER_STROKE = 400  # ms until the page has told the server of a stroke, at least


def main() -> None:
    """Write a PNG of label ids for each scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), metavar="NAME")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/strokes"))
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    with served("gradio", args.model) as url, chromium() as browser:
        page = visit(browser, "gradio", url)
        for name in args.scenes:
            paint(page, SCENES[name], random.Random(name))
            with page.expect_download() as download:
                page.get_by_role("button", name="Gray mask", exact=True).click()
            download.value.save_as(args.output_dir / f"{name}.png")
            print(args.output_dir / f"{name}.png")


def paint(page: Page, strokes: list[Stroke], rng: random.Random) -> None:
    """Clear the canvas and paint a scene."""
    page.locator("#canvas [data-action=clear]").click()
    for label, size, places in strokes:
        path = hand_path(places, rng)
        stroke(page, label, size, path, seconds_of(path))
        page.wait_for_timeout(rng.uniform(AFTER_STROKE, 2 * AFTER_STROKE))


if __name__ == "__main__":
    main()
