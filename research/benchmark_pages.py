"""Time both painting pages in Chromium, from the end of a stroke to its picture and to the one with natural outlines.

python research/benchmark_pages.py
python research/benchmark_pages.py --pages gradio --strokes 20 --model user/repo

Page and model share this machine's cores; it should do nothing else. Needs Chromium, npm, and the extras demo, export
and test.
"""

import argparse
import statistics

from painting_pages import PAGES, chromium, served, stroke, visit
from playwright.sync_api import Page

from spade_hf import BUNDLED_MODEL


LABELS = ("tree", "rock", "sand", "flower")
# `strokes` has, for each stroke, the milliseconds from its end to each picture that the page has shown since
WATCH = """(kind) => {
    window.strokes = [];
    let ended = null;
    document.addEventListener("pointerdown", () => { ended = null; }, true);
    document.addEventListener("pointerup", ({ target }) => {
        if (!target.closest("#canvas canvas")) return;
        ended = performance.now();
        window.strokes.push([]);
    }, true);
    const note = () => { if (ended !== null) window.strokes.at(-1).push(performance.now() - ended); };
    const noteLoad = ({ target }) => { if (target.closest?.("#picture")) note(); };
    if (kind === "gradio") document.addEventListener("load", noteLoad, true);
    else new MutationObserver(note).observe(document.body, { attributes: true, attributeFilter: ["data-pictures"] });
}"""


def main() -> None:
    """Print a line per page: medians of the painted and the natural picture, and of their difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES, metavar="PAGE")
    parser.add_argument("--strokes", type=int, default=10, help="strokes that are timed on each page")
    parser.add_argument("--model", default=BUNDLED_MODEL)
    args = parser.parse_args()
    print("| page | painted | natural | natural - painted |\n| --- | --- | --- | --- |")
    with chromium() as browser:
        for kind in args.pages:
            with served(kind, args.model) as url:
                page = visit(browser, kind, url)
                times = latencies(page, kind, args.strokes)
                page.context.close()
            columns = [[first for first, _ in times], [last for _, last in times], [b - a for a, b in times]]
            cells = [f"{statistics.median(one):.0f} ms ({min(one):.0f} to {max(one):.0f})" for one in columns]
            print(f"| {kind}, {len(times)} strokes | {' | '.join(cells)} |")


def latencies(page: Page, kind: str, strokes: int) -> list[tuple[float, float]]:
    """Return the milliseconds from each stroke's end to its picture as painted and to its natural one."""
    page.wait_for_timeout(2000)  # the first picture's outlines
    page.evaluate(WATCH, kind)
    for number in range(strokes + 1):  # the first stroke warms up
        height = 0.25 + 0.5 * number / strokes
        stroke(page, LABELS[number % len(LABELS)], 30, [(0.2, height), (0.5, height), (0.8, height)])
        page.wait_for_function("count => strokes[count]?.length === 2", arg=number)
        page.wait_for_timeout(500)  # a third one would show that a stroke made several
    times = page.evaluate("strokes")
    if wrong := [one for one in times if len(one) != 2]:
        raise SystemExit(f"A stroke made {len(wrong[0])} pictures instead of 2. Leave the machine alone, try again.")
    return [(painted, natural) for painted, natural in times[1:]]


if __name__ == "__main__":
    main()
