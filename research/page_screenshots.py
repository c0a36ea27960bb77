"""Photograph both painting pages: the pictures in their READMEs and in docs/browser.md.

python research/page_screenshots.py
python research/page_screenshots.py --pages static --output_dir outputs/screenshots

Writes desktop.jpg and views.jpg to spaces_demo/ (Gradio) and spaces_demo/browser/ (static). Needs Chromium, npm, and
the extras demo, export and test.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

from painting_pages import PAGES, chromium, served, stroke, visit
from PIL import Image
from playwright.sync_api import Browser, Page

from spade_hf import BUNDLED_MODEL


SPACES = Path(__file__).parents[1] / "spaces_demo"
FOLDERS = {"gradio": Path(), "static": Path("browser")}  # in `--output_dir`
GAP = 12  # pixels between views
TREE = [(0.7, 0.8), (0.8, 0.79), (0.9, 0.78)]  # a stroke, in shares of the canvas
SHOWN = """() => [document.body.dataset.pictures, document.querySelector("#picture img")?.src,
    document.querySelectorAll("#variants img, #variants canvas").length].join()"""


def main() -> None:
    """Write both pictures of each page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES, metavar="PAGE")
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--output_dir", type=Path, default=SPACES)
    args = parser.parse_args()
    with chromium() as browser:
        for kind in args.pages:
            folder = args.output_dir / FOLDERS[kind]
            folder.mkdir(parents=True, exist_ok=True)
            with served(kind, args.model) as url:
                desktop = photograph(browser, kind, url, paint_tree)
                desktop.save(folder / "desktop.jpg", quality=80)
                views(browser, kind, url).save(folder / "views.jpg", quality=80)
            print(folder / "desktop.jpg", folder / "views.jpg")


def views(browser: Browser, kind: str, url: str) -> Image.Image:
    """Return six views: two rows of two at half size, and a row of a small window and a phone at the same height."""
    rows = [
        [photograph(browser, kind, url, compare), photograph(browser, kind, url, show_four_styles)],
        [photograph(browser, kind, url, color_scheme="dark"), photograph(browser, kind, url, widen)],
        [
            photograph(browser, kind, url, width=1024, height=768),
            photograph(browser, kind, url, width=390, height=844, has_touch=True),
        ],
    ]
    rows = [[at_height(view, height) for view in row] for row, height in zip(rows, (450, 450, 525), strict=True)]
    width = max(sum(view.width for view in row) + GAP for row in rows)
    sheet = Image.new("RGB", (width, sum(row[0].height for row in rows) + 2 * GAP), "white")
    top = 0
    for left_view, right_view in rows:
        sheet.paste(left_view, (0, top))
        sheet.paste(right_view, (left_view.width + GAP, top))
        top += left_view.height + GAP
    return sheet


def photograph(
    browser: Browser, kind: str, url: str, act: Callable[[Page], None] | None = None, **options: object
) -> Image.Image:
    """Open the page, do something, and return what the window shows when nothing changes any more."""
    page = visit(browser, kind, url, **options)  # type: ignore[arg-type]
    if act is not None:
        act(page)
    page.mouse.move(2, 2)
    settle(page)
    page.evaluate("scrollTo(0, 0)")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.context.close()
    return image


def settle(page: Page) -> None:
    """Wait until all pictures have stayed the same for three seconds."""
    shown, waited = "", 0
    while waited < 6:
        now = page.evaluate(SHOWN)
        shown, waited = now, waited + 1 if now == shown else 0
        page.wait_for_timeout(500)


def paint_tree(page: Page) -> None:
    """Paint a stroke of tree, which the page then gives natural outlines."""
    stroke(page, "tree", 40, TREE)
    settle(page)


def compare(page: Page) -> None:
    """Show mask and picture side by side."""
    paint_tree(page)
    page.locator("#compare-view").click()


def show_four_styles(page: Page) -> None:
    """Show the picture in four random styles."""
    paint_tree(page)
    page.locator("#four").click()
    page.wait_for_function("document.querySelectorAll('#variants img, #variants canvas').length === 4")


def widen(page: Page) -> None:
    """Take the widest format, in the style of a sunset."""
    page.locator("#canvas .format select").select_option("16:9")
    settle(page)
    page.locator("#styles [data-name=sunset]").click()


def at_height(image: Image.Image, height: int) -> Image.Image:
    """Return the image at another height."""
    return image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
