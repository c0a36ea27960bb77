// The label canvas: its tools, its palette, and the grid of label numbers that they paint on.

import { LabelGrid } from "./label_grid.js";

const DEBOUNCE = 50; // ms from the end of a stroke to its picture, so that quick strokes make one
const FOLLOW = 150; // ms between the pictures of a stroke that goes on
const UNDO_STEPS = 30;
const MARGIN = 60; // screen pixels around the canvas in which a stroke can begin
const NEAR = 10; // screen pixels from a polygon's corner that count as the corner
const MAX_ZOOM = 8;
const CHECKER = { side: 16, colors: [0xffffffff, 0xffc8c8c8] }; // canvas pixels of a square, and little-endian RGBA
const CONTROLS = "a, button, canvas, img, input, label, select, summary, textarea";
const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]";
const TOOLS = { b: "brush", p: "polygon", f: "fill", r: "replace", e: "erase", i: "pick" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Brings the elements of mask_canvas.html to life.
 *
 * The browser keeps the mask through a reload, together with the mask that the eraser restores. The document event "photo" brings
 * a photograph, {mask, image}: the text that the canvas starts from, and a URL. While the canvas is one that started from it, the
 * image of the class "photo" shows it, hidden, for other views.
 *
 * @param {Element} element Holds mask_canvas.html.
 * @param {object} props `labels` ({name, color} each), `formats` ({name, height, width} each), the labels `horizon` (of a
 *   cleared canvas: above, below) and `first` (to paint with), the key `storage`, and `value`: the text of a LabelGrid, in
 *   both directions. If the model fills what is not painted, `unpainted` is the label of such pixels: it is a checker on the
 *   canvas and in the palette. The stage has the attribute `data-painting` while a stroke goes on, and until it is told.
 * @param {(name: string) => void} trigger Called with "input" when the visitor has changed `props.value`; with `unpainted`, also
 *   with "edit" when a change begins, which makes what is drawn meanwhile outdated.
 * @param {(name: string, watcher: () => void) => void} watch Takes what to call when the page has changed `props.value`.
 */
export function mountCanvas(element, props, trigger, watch) {
  const { labels, formats, horizon, first, storage, unpainted } = props;
  const [canvas, stage, sheet, cursor, outline, zoomed, palette, formatInput, said, photoImage] = [
    "canvas", ".stage", ".sheet", ".cursor", ".outline", ".zoomed", ".palette", ".format select", ".said", ".photo",
  ].map((place) => element.querySelector(place));
  const sizeInput = element.querySelector(".size input");
  const buttons = (kind) => [...element.querySelectorAll(`[data-${kind}]`)];
  const context = canvas.getContext("2d");
  const colors = Uint32Array.from(labels, ({ color: [r, g, b] }) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);

  let grid, start; // the painted mask, and the mask that the eraser restores, with the address of the photo that it is of
  let photo = null; // the latest one, {mask, image}
  let image, words; // the canvas' pixels, and the same as one little-endian RGBA word each
  let saved = ""; // the page warns before leaving while the value is not `saved`
  let past = [], future = []; // each {grid, start}
  let tool = "brush", label = first;
  let last = null; // the pointer's last place in a stroke
  let end = null; // where the last stroke ended: a straight line goes on from there
  let corners = []; // of a polygon that is not closed
  let caret = null; // where the keyboard is
  let view = { x: 0, y: 0, scale: 1 }; // the sheet's place in the stage
  let pan = null; // the pointer's last place on the screen while the view is moved
  let hasSpace = false; // whether the space bar is down
  const fingers = new Map(); // pointer -> place on the screen
  let timer = null, told = 0;

  // What is shown

  function redraw() {
    const { width, height } = grid;
    if (!image || image.width !== width || image.height !== height) {
      Object.assign(canvas, { width, height });
      image = context.createImageData(width, height);
      words = new Uint32Array(image.data.buffer);
      outline.setAttribute("viewBox", `0 0 ${width} ${height}`);
      document.documentElement.style.setProperty("--ratio", width / height); // also for the picture's frame
      formatInput.value = formats.findIndex((format) => format.width === width && format.height === height);
      showView(1);
    }
    if (start.photo) photoImage.src = start.photo;
    else photoImage.removeAttribute("src");
    draw(0, 0, width, height);
    for (const button of buttons("action")) {
      if (button.dataset.action !== "clear") button.disabled = !(button.dataset.action === "undo" ? past : future).length;
    }
  }

  function draw(left, top, right, bottom) {
    [left, top] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
    [right, bottom] = [Math.min(grid.width, Math.ceil(right)), Math.min(grid.height, Math.ceil(bottom))];
    for (let row = top; row < bottom; row++) {
      for (let i = row * grid.width + left; i < row * grid.width + right; i++) {
        words[i] = grid.labels[i] === unpainted ? checker(row, i - row * grid.width) : colors[grid.labels[i]];
      }
    }
    if (right > left && bottom > top) context.putImageData(image, 0, 0, left, top, right - left, bottom - top);
    document.dispatchEvent(new Event("mask")); // for other views of the mask
  }

  /** The color of a pixel that is not painted. */
  function checker(row, column) {
    return CHECKER.colors[(Math.floor(row / CHECKER.side) + Math.floor(column / CHECKER.side)) % 2];
  }

  function showCursor(x, y) {
    const box = stage.getBoundingClientRect();
    const diameter = (sizeInput.value / grid.width) * canvas.getBoundingClientRect().width;
    Object.assign(cursor.style, {
      display: tool === "brush" || tool === "erase" ? "block" : "none", left: `${x - box.left}px`,
      top: `${y - box.top}px`, width: `${diameter}px`, height: `${diameter}px`,
    });
  }

  function showOutline(next = null) {
    const places = next && corners.length ? [...corners, next] : corners;
    outline.innerHTML = `<polyline points="${places.map(({ x, y }) => `${x},${y}`).join(" ")}"/>`;
  }

  /** Zooms to a scale around a fixed position on the screen. */
  function showView(scale, clientX = null, clientY = null, movedX = 0, movedY = 0) {
    const box = stage.getBoundingClientRect();
    const [x, y] = clientX === null ? [box.width / 2, box.height / 2] : [clientX - box.left, clientY - box.top];
    scale = Math.min(Math.max(scale, 1), MAX_ZOOM);
    const shift = (from, at, moved, size) =>
      Math.min(Math.max(at - ((at - from) / view.scale) * scale + moved, size * (1 - scale)), 0);
    view = { x: shift(view.x, x, movedX, box.width), y: shift(view.y, y, movedY, box.height), scale };
    sheet.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
    zoomed.hidden = scale === 1;
    zoomed.textContent = `${Math.round(100 * scale)} % ×`;
  }

  function say(text) {
    said.textContent = text;
  }

  // What is kept and told

  function remember() {
    past.push({ grid: grid.copy(), start });
    if (past.length > UNDO_STEPS) past.shift();
    future = [];
  }

  function keep() {
    try { localStorage.setItem(storage, JSON.stringify({ mask: props.value, start: start.encode() })); }
    catch { /* full or forbidden: the page still warns before leaving */ }
  }

  function publish() {
    redraw();
    props.value = grid.encode();
    keep();
    tell(DEBOUNCE);
  }

  function tell(delay) {
    clearTimeout(timer);
    told = performance.now();
    beginChange();
    timer = setTimeout(() => { // Gradio passes on the value in between
      stage.toggleAttribute("data-painting", last !== null);
      trigger("input");
    }, delay);
  }

  function beginChange() {
    stage.toggleAttribute("data-painting", true);
    if (unpainted !== undefined) trigger("edit");
  }

  function load(mask, from) {
    const read = [mask, from].map((text) => LabelGrid.decode(text, labels.length));
    if (read.some(({ width, height }) => !formats.some((format) => format.width === width && format.height === height))) {
      throw new Error("not of a size that this canvas has");
    }
    [grid, start] = read; // nothing is changed if one of them is broken
    if (photo?.mask === from) start.photo = photo.image;
    if (start.width !== grid.width) start = start.reframed(grid.width, grid.height);
    saved = from;
    end = null;
    redraw();
    dropCorners();
  }

  // Tools

  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return { x: ((clientX - box.left) / box.width) * grid.width, y: ((clientY - box.top) / box.height) * grid.height };
  }

  function isOnCanvas({ x, y }) {
    return x >= 0 && y >= 0 && x < grid.width && y < grid.height;
  }

  function stroke(from, to) {
    const radius = sizeInput.value / 2;
    grid.line(from, to, radius, tool === "erase" ? start : label);
    draw(Math.min(from.x, to.x) - radius - 1, Math.min(from.y, to.y) - radius - 1,
      Math.max(from.x, to.x) + radius + 2, Math.max(from.y, to.y) + radius + 2);
  }

  /** The tool at a place; `event` says whether Alt and Shift are down. */
  function begin(here, event) {
    clearTimeout(timer);
    if (tool === "polygon" && !event.altKey) { addCorner(here); return; }
    if (tool === "brush" || tool === "erase") {
      if (!event.altKey) {
        remember();
        beginChange();
        stroke(event.shiftKey && end ? end : here, here);
        last = here;
        told = performance.now(); // a quick stroke makes one picture
        return;
      }
    }
    if (!isOnCanvas(here)) return;
    const found = grid.at(here);
    if (event.altKey || tool === "pick") { pick(found); return; }
    if (found === label) return;
    remember();
    if (tool === "fill") grid.fill(here, label);
    else grid.replace(found, label);
    publish();
  }

  function goOn(here) {
    stroke(last, here);
    last = here;
    if (performance.now() - told < FOLLOW) return;
    props.value = grid.encode();
    tell(0);
  }

  function finish() {
    if (!last) return;
    [end, last] = [last, null];
    publish();
  }

  function pick(found) {
    element.querySelectorAll(".chip input")[found].click();
    if (tool === "pick") choose("brush");
    say(labels[found].name);
  }

  function addCorner(here) {
    const unit = grid.width / canvas.getBoundingClientRect().width; // canvas pixels in one of the screen
    const isAt = (corner) => corner && Math.hypot(corner.x - here.x, corner.y - here.y) < NEAR * unit;
    if (!isAt(corners[0]) && !isAt(corners.at(-1))) {
      corners.push(here);
      showCorners();
    } else if (corners.length > 2) {
      remember();
      grid.polygon(corners, label);
      dropCorners();
      say(`Polygon of ${labels[label].name} painted.`);
      publish();
    }
  }

  function showCorners() {
    showOutline();
    say(corners.length ? `Corner ${corners.length}. The first or the last corner again closes the polygon.` : "");
  }

  function dropCorners() {
    corners = [];
    showCorners();
  }

  function choose(newTool) {
    tool = stage.dataset.tool = newTool;
    dropCorners();
    cursor.style.display = "none";
    for (const button of buttons("tool")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
  }

  function act(action) {
    dropCorners();
    if (action === "clear") {
      remember();
      grid = LabelGrid.withHorizon(grid.width, grid.height, ...horizon);
      start = grid.copy();
    } else {
      const [from, to] = action === "undo" ? [past, future] : [future, past];
      if (!from.length) return;
      to.push({ grid, start });
      ({ grid, start } = from.pop());
    }
    publish();
  }

  function reshape({ width, height }) {
    remember();
    dropCorners();
    [grid, start] = [grid.reframed(width, height), start.reframed(width, height)];
    publish();
  }

  // Mouse, pen and fingers

  function press(event) {
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 2) { // they move the view: the first one's stroke was not meant
      if (last) { ({ grid, start } = past.pop()); last = null; publish(); }
      return;
    }
    if (event.button === 1 || hasSpace) { event.preventDefault(); pan = { x: event.clientX, y: event.clientY }; return; }
    if (event.button === 0 && fingers.size === 1) begin(place(event), event);
  }

  function move(event) {
    if (fingers.has(event.pointerId) && fingers.size === 2) { pinch(event); return; }
    if (pan) {
      showView(view.scale, null, null, event.clientX - pan.x, event.clientY - pan.y);
      pan = { x: event.clientX, y: event.clientY };
      return;
    }
    showCursor(event.clientX, event.clientY);
    if (corners.length) showOutline(place(event));
    if (!last) return;
    for (const moved of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) goOn(place(moved));
  }

  function pinch(event) {
    const measure = () => {
      const [a, b] = [...fingers.values()];
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, span: Math.hypot(a.x - b.x, a.y - b.y) };
    };
    const before = measure();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = measure();
    showView((view.scale * now.span) / Math.max(before.span, 1), before.x, before.y, now.x - before.x, now.y - before.y);
  }

  function lift(event) {
    fingers.delete(event.pointerId);
    pan = null;
    finish();
  }

  canvas.addEventListener("pointerdown", press);
  document.addEventListener("pointerdown", (event) => { // a stroke can begin beside the canvas
    if (event.pointerType === "touch" || event.button !== 0 || event.target.closest?.(CONTROLS)) return;
    const box = stage.getBoundingClientRect();
    const away = Math.max(box.left - event.clientX, event.clientX - box.right, box.top - event.clientY, event.clientY - box.bottom);
    if (away < MARGIN && ["brush", "erase", "polygon"].includes(tool)) press(event);
  });
  document.addEventListener("mousedown", (event) => { if (last) event.preventDefault(); }); // it would select text
  canvas.addEventListener("pointermove", move);
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, lift);
  canvas.addEventListener("pointerleave", () => { cursor.style.display = "none"; });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    showView(view.scale * Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
  }, { passive: false });

  // Keyboard

  canvas.addEventListener("keydown", (event) => {
    if (event.key in ARROWS) {
      const step = event.shiftKey ? 1 : Math.max(4, sizeInput.value / 2);
      const [x, y] = ARROWS[event.key];
      caret ??= { x: grid.width / 2, y: grid.height / 2 };
      caret = { x: Math.min(Math.max(caret.x + step * x, 0.5), grid.width - 0.5),
        y: Math.min(Math.max(caret.y + step * y, 0.5), grid.height - 0.5) };
      const box = canvas.getBoundingClientRect();
      showCursor(box.left + (caret.x / grid.width) * box.width, box.top + (caret.y / grid.height) * box.height);
      cursor.style.display = "block";
      if (corners.length) showOutline(caret);
      say(`${labels[grid.at(caret)].name}, column ${Math.round(caret.x)}, row ${Math.round(caret.y)}`);
    } else if (event.key === "Enter" && caret) {
      begin(caret, event);
      finish();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest(TYPING)) return;
    const key = event.key.toLowerCase();
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code); // 1 is the first label, 0 the tenth, on any keyboard
    if ((event.ctrlKey || event.metaKey) && key === "z") { event.preventDefault(); act(event.shiftKey ? "redo" : "undo"); }
    else if (event.ctrlKey && key === "y") { event.preventDefault(); act("redo"); }
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (digit) element.querySelectorAll(".chip input")[(Number(digit[1]) + 9) % 10]?.click();
    else if (TOOLS[key]) choose(TOOLS[key]);
    else if (key === "[" || key === "]") sizeInput.value = Number(sizeInput.value) + (key === "]" ? 6 : -6);
    else if (key === "+" || key === "=" || key === "-") showView(view.scale * (key === "-" ? 0.8 : 1.25));
    else if (key === "escape") dropCorners();
    else if (key === "backspace" && corners.length) { event.preventDefault(); corners.pop(); showCorners(); }
    else if (key === " " && !event.target.closest(CONTROLS.replace("canvas, ", ""))) { event.preventDefault(); hasSpace = true; }
  });
  document.addEventListener("keyup", (event) => { if (event.key === " ") hasSpace = false; });

  // Palette, format, start

  for (const button of buttons("tool")) button.addEventListener("click", () => choose(button.dataset.tool));
  for (const button of buttons("action")) button.addEventListener("click", () => act(button.dataset.action));
  zoomed.addEventListener("click", () => showView(1));
  formats.forEach(({ name }, number) => formatInput.append(new Option(name, number)));
  formatInput.addEventListener("change", () => reshape(formats[formatInput.value]));
  formatInput.parentElement.hidden = formats.length < 2;
  const group = `label-${Math.random().toString(36).slice(2)}`;
  labels.forEach(({ name, color }, number) => {
    const chip = document.createElement("label");
    chip.className = "chip";
    chip.title = number < 10 ? `${name} (key ${(number + 1) % 10})` : name;
    chip.innerHTML = '<input type="radio"><span class="swatch"></span><span></span>';
    chip.lastChild.textContent = name;
    if (number === unpainted) {
      chip.classList.add("unpainted");
      chip.title = `${name}: the model decides what is there`;
    } else chip.children[1].style.background = `rgb(${color})`;
    Object.assign(chip.firstChild, { name: group, value: name, checked: number === label });
    chip.firstChild.addEventListener("change", () => {
      label = number;
      if (tool === "erase" || tool === "pick") choose("brush");
    });
    palette.append(chip);
  });

  function restore() {
    try {
      photo = JSON.parse(localStorage.getItem(`${storage} photo`));
      const { mask, start } = JSON.parse(localStorage.getItem(storage));
      load(mask, start);
      setTimeout(() => { props.value = mask; }); // Gradio takes no value while it builds the page
      return true;
    } catch { return false; } // nothing is kept, or the browser cannot keep anything
  }
  document.addEventListener("photo", ({ detail }) => {
    photo = detail;
    try { localStorage.setItem(`${storage} photo`, JSON.stringify(photo)); } catch { /* full or forbidden */ }
    if (photo.mask === saved) { start.photo = photo.image; redraw(); } // else its mask is still to come
  });
  photoImage.addEventListener("load", () => document.dispatchEvent(new Event("mask")));
  watch("value", () => { remember(); load(props.value, props.value); keep(); }); // a mask from the server
  window.addEventListener("beforeunload", (event) => { if (props.value !== saved) event.preventDefault(); });
  document.addEventListener("scene-saved", () => { saved = props.value; });
  choose(tool);
  restore() || load(props.value, props.value);
  // from the first label on, unless the chosen one would be out of sight
  const chosen = palette.querySelector(":checked").parentElement;
  palette.scrollTo({ top: chosen.offsetTop + chosen.offsetHeight - palette.clientHeight,
    left: chosen.offsetLeft + chosen.offsetWidth - palette.clientWidth });
}
