"""Natural outlines on the static page, in a real browser."""

import numpy as np
import pytest
import torch
from PIL import Image

from spade_hf.demo.handlers import ASSETS
from spade_hf.labels.label_set import UNPAINTED_ID

from .conftest import parts_of
from .visitor import NATURAL, SLOWEST, WIDTHS, NaturalVisitor, wait_for


pytestmark = pytest.mark.pages

SET_STRENGTHS = """(values) => {
  const slider = document.querySelector("#strength");
  for (const value of values) { slider.value = value; slider.dispatchEvent(new Event("input")); }
}"""

WORK = """async ([folder, messages]) => {
  const config = await (await fetch(`${folder}/config.json`)).json();
  const worker = new Worker(`${folder}/painter.js`, { type: "module" });
  const answers = {};
  const isDone = new Promise((resolve) => {
    worker.onmessage = ({ data }) => {
      if (data.type === "ready") for (const message of messages) worker.postMessage(message);
      if (data.type === "ready" || data.type === "progress") return;
      answers[data.number] = { ...data, labels: data.labels && [...data.labels] };
      if (Object.keys(answers).length === messages.length) resolve();
    };
  });
  worker.postMessage({ type: "load", config });
  await isDone;
  worker.terminate();
  return answers;
}"""


def test_the_worker_refines_masks_as_the_library_does(browser, pipeline, sites, natural_url):
    folder = parts_of(sites["natural"]).name
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOWEST)
    page.goto(natural_url)
    lake = np.asarray(Image.open(ASSETS / "lake_mask.png").resize((96, 64), Image.Resampling.NEAREST))
    holes = np.where(np.arange(96) < 30, 255, lake)
    ids = np.array(pipeline.image_processor.label_set.ids)

    def message(number, mask, strength, seed):
        labels = np.where(mask == 255, 999, np.searchsorted(ids, mask)).ravel().tolist()  # 999: not painted
        options = {"strength": strength, "seed": seed}
        return {"type": "refine", "number": number, "size": [64, 96], "labels": labels, **options}

    asked = {3: (lake, 0.7, 5), 4: (holes, 0.4, 6), 5: (holes, 0, 7)}
    replaced = {1: (lake, 1, 1), 2: (lake, 1, 2)}
    everything = [message(number, *case) for number, case in {**replaced, 3: asked[3]}.items()]
    answers = page.evaluate(WORK, [folder, everything])
    assert [answers[str(number)]["labels"] for number in replaced] == [None, None]
    for number in (4, 5):
        answers |= page.evaluate(WORK, [folder, [message(number, *asked[number])]])
    for number, (mask, strength, seed) in asked.items():
        generator = torch.Generator().manual_seed(seed)
        (natural,) = pipeline.refine_mask(mask, strength=strength, generator=generator, height=64, width=96)
        found = ids[np.reshape(answers[str(number)]["labels"], mask.shape)]
        assert (found == np.asarray(natural)).mean() > 0.999  # but for rounding
        assert (found != mask).any() and (strength or (found == mask)[mask != 255].all())
    cancel = {"type": "cancel", "number": 7}
    answers = page.evaluate(WORK, [folder, [message(6, *asked[3]), cancel]])
    assert answers["6"]["labels"] is None and answers["7"]["type"] == "cancelled"
    context.close()


def is_near(picture: np.ndarray, expected: np.ndarray) -> bool:
    """Whether they are equal, but for rounding, and what a few pixels of other labels change around them."""
    return (np.abs(picture - expected).max(axis=2) > 2).mean() < 0.1


def test_natural_outlines(browser, pipeline, natural_url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    assert page.locator("#strength").input_value() == "0.5"
    natural = visitor.naturally(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    assert page.evaluate("shown.slice(-2)") == [False, True]  # the stroke as it is comes first
    assert is_near(natural, visitor.expected(0.5)) and not is_near(natural, visitor.expected(0))

    painted = visitor.after(lambda: page.locator("#strength").fill("0"))
    assert np.abs(painted - visitor.expected(0)).max() <= 2
    assert page.locator("#redraw").is_disabled() and page.locator("#take-over").is_disabled()
    visitor.after(lambda: visitor.stroke("snow", (0.2, 0.6), (0.8, 0.6)))
    assert not any(page.evaluate("shown.slice(-2)"))
    count = visitor.pictures()
    other = visitor.naturally(lambda: page.evaluate(SET_STRENGTHS, [1, 0.75]))  # the first one is given up
    assert visitor.pictures() == count + 1 and is_near(other, visitor.expected(0.75))

    style = page.locator("#status").inner_text().split("style")[1]
    anew = visitor.naturally(lambda: page.locator("#redraw").click())
    assert not is_near(anew, other) and page.locator("#status").inner_text().endswith(style)
    page.reload()
    wait_for(page, NATURAL, 0)
    assert np.abs(visitor.picture() - anew).max() == 0 and page.locator("#strength").input_value() == "0.75"

    count, mask = visitor.pictures(), visitor.mask()
    page.locator("#take-over").click()
    assert visitor.mask() != mask and visitor.pictures() == count
    assert np.abs(anew - visitor.expected(0)).max() <= 2  # the canvas is what the picture is of
    assert "These outlines are on the canvas now." in visitor.message()
    assert page.locator("#redraw").is_disabled() and page.locator("#take-over").is_disabled()
    visitor.after(lambda: page.locator("[data-action=undo]").click())
    assert visitor.mask() == mask
    again = visitor.naturally(lambda: page.locator("#strength").fill("0.75"))
    assert np.abs(again - anew).max() == 0

    # the next stroke, also after a reload, leaves what was taken over as it is
    page.locator("#take-over").click()
    taken = visitor.label_map()
    page.reload()
    visitor.wait_for_pictures(1)
    assert page.locator("#strength").input_value() == "0" and np.abs(visitor.picture() - anew).max() <= 2
    painted = visitor.after(lambda: visitor.stroke("rock", (0.2, 0.9), (0.8, 0.9)))
    kept = visitor.label_map() != visitor.painter.label_set.id_of("rock")
    assert kept.mean() > 0.5 and (visitor.label_map() == taken)[kept].all()
    assert np.abs(painted - visitor.expected(0)).max() <= 2
    assert not visitor.complaints
    context.close()


def test_what_is_not_painted_is_filled(browser, pipeline, natural_url, tmp_path):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    painted = visitor.after(lambda: page.locator("#strength").fill("0"))
    filled = visitor.naturally(lambda: visitor.stroke("not painted", (0.2, 0.6), (0.8, 0.6)))
    assert page.evaluate("shown.slice(-2)") == [False, True]
    label_map = visitor.label_map()
    assert 0.02 < (label_map == UNPAINTED_ID).mean() < 0.2
    assert is_near(filled, visitor.expected(0)) and not is_near(filled, painted)
    with page.expect_download() as download:
        page.locator("#save-mask").click()
    download.value.save_as(tmp_path / "mask.png")
    visitor.naturally(lambda: page.locator("#redraw").click())
    page.locator("#take-over").click()
    taken = visitor.label_map()
    assert (taken == label_map)[label_map != UNPAINTED_ID].all() and (taken != UNPAINTED_ID).all()
    visitor.naturally(lambda: page.set_input_files("#open-file", tmp_path / "mask.png"))
    np.testing.assert_array_equal(visitor.label_map(), label_map)
    assert "was transparent and became not painted" in visitor.message()
    assert not visitor.complaints
    context.close()


def test_a_new_layout(browser, pipeline, natural_url):
    context = browser.new_context(viewport=WIDTHS["desktop"])
    visitor = NaturalVisitor(context.new_page(), natural_url, pipeline)
    page = visitor.page
    visitor.naturally(lambda: visitor.stroke("water", (0.2, 0.3), (0.8, 0.3)))
    mask = visitor.mask()
    layout = visitor.naturally(lambda: page.locator("#new-layout").click())
    assert np.abs(layout - visitor.expected(0)).max() <= 2 and visitor.mask() != mask
    assert page.locator("#masks button[aria-pressed=true]").count() == 0
    first = visitor.mask()
    visitor.naturally(lambda: page.locator("#new-layout").click())
    assert visitor.mask() not in (mask, first)
    for expected in (first, mask):
        visitor.naturally(lambda: page.locator("[data-action=undo]").click())
        assert visitor.mask() == expected
    assert not visitor.complaints
    context.close()
