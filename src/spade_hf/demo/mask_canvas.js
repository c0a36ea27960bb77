// The label canvas. gr.HTML runs this as a function body with `element`, `props`, `trigger` and `watch`.
// The picture is a grid of label numbers, never of colours: no blended edges, and undo is a copy of the grid.
// Its value, both ways: "width height count label count label ...", runs of equal labels in reading order.
// The browser keeps it, and what the eraser brings back, through a reload.
const DEBOUNCE = 50; // ms after a stroke, so that quick strokes make one picture
const UNDO_STEPS = 30;
const { width, height, labels, blank, first, storage } = props;
const canvas = element.querySelector("canvas");
const stage = element.querySelector(".stage");
const cursor = element.querySelector(".cursor");
const sizeInput = element.querySelector(".size input");
const buttons = (kind) => [...element.querySelectorAll(`[data-${kind}]`)];

canvas.width = width;
canvas.height = height;
const context = canvas.getContext("2d");
const image = context.createImageData(width, height);
const words = new Uint32Array(image.data.buffer); // one RGBA pixel a word, little-endian
const colors = Uint32Array.from(labels, ({ color: [r, g, b] }) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
let grid = new Uint16Array(width * height); // label numbers
let start = grid; // what the eraser brings back
let startText = "", saved = ""; // leaving is warned of while the value is not `saved`
let past = [], future = [];
let tool = "brush";
let label = first;
let last = null; // the pointer's last place in a stroke
let timer = null;

function decode(text) {
  const numbers = text.split(" ").map(Number);
  const decoded = new Uint16Array(width * height);
  let at = 0;
  for (let i = 2; i < numbers.length; i += 2) {
    if (!labels[numbers[i + 1]]) throw new Error("there is no such label");
    decoded.fill(numbers[i + 1], at, (at += numbers[i]));
  }
  if (numbers[0] !== width || numbers[1] !== height || at !== decoded.length) throw new Error("not of this size");
  return decoded;
}

function encode(grid) {
  const numbers = [width, height];
  for (let first = 0, i = 1; i <= grid.length; i++) {
    if (i === grid.length || grid[i] !== grid[first]) { numbers.push(i - first, grid[first]); first = i; }
  }
  return numbers.join(" ");
}

function redraw() {
  for (let i = 0; i < grid.length; i++) words[i] = colors[grid[i]];
  context.putImageData(image, 0, 0);
  for (const button of buttons("action")) {
    if (button.dataset.action !== "clear") button.disabled = !(button.dataset.action === "undo" ? past : future).length;
  }
}

function remember() {
  past.push(grid.slice());
  if (past.length > UNDO_STEPS) past.shift();
  future = [];
}

function keep() {
  try { localStorage.setItem(storage, JSON.stringify({ mask: props.value, start: startText })); }
  catch { /* full or forbidden: leaving is warned of all the same */ }
}

function publish() {
  redraw();
  props.value = encode(grid);
  keep();
  clearTimeout(timer);
  timer = setTimeout(() => trigger("input"), DEBOUNCE);
}

function stamp(x, y, radius) {
  const top = Math.max(0, Math.ceil(y - radius)), bottom = Math.min(height - 1, Math.floor(y + radius));
  for (let row = top; row <= bottom; row++) {
    const half = Math.sqrt(radius * radius - (row - y) ** 2);
    const left = Math.max(0, Math.round(x - half)), right = Math.min(width, Math.round(x + half));
    for (let i = row * width + left; i < row * width + right; i++) {
      grid[i] = tool === "erase" ? start[i] : label;
      words[i] = colors[grid[i]];
    }
  }
}

function stroke(from, to) {
  const radius = sizeInput.value / 2;
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, radius / 3)));
  for (let step = 0; step <= steps; step++) {
    stamp(from.x + ((to.x - from.x) * step) / steps, from.y + ((to.y - from.y) * step) / steps, radius);
  }
  const left = Math.floor(Math.min(from.x, to.x) - radius) - 1, top = Math.floor(Math.min(from.y, to.y) - radius) - 1;
  const right = Math.max(from.x, to.x) + radius + 2, bottom = Math.max(from.y, to.y) + radius + 2;
  context.putImageData(image, 0, 0, left, top, right - left, bottom - top);
}

function fill({ x, y }) {
  const seed = Math.floor(y) * width + Math.floor(x);
  const old = grid[seed];
  if (old === label) return;
  remember();
  const waiting = [seed];
  while (waiting.length) {
    const i = waiting.pop();
    if (grid[i] !== old) continue;
    grid[i] = label;
    const column = i % width;
    if (column > 0) waiting.push(i - 1);
    if (column < width - 1) waiting.push(i + 1);
    if (i >= width) waiting.push(i - width);
    if (i + width < grid.length) waiting.push(i + width);
  }
  publish();
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * width, y = ((event.clientY - box.top) / box.height) * height;
  return { x: Math.min(Math.max(x, 0), width - 0.01), y: Math.min(Math.max(y, 0), height - 0.01) };
}

function showCursor(event) {
  const box = canvas.getBoundingClientRect();
  const diameter = (sizeInput.value / width) * box.width;
  Object.assign(cursor.style, {
    display: tool === "fill" ? "none" : "block", left: `${event.clientX - box.left}px`,
    top: `${event.clientY - box.top}px`, width: `${diameter}px`, height: `${diameter}px`,
  });
}

function choose(newTool) {
  tool = stage.dataset.tool = newTool;
  for (const button of buttons("tool")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
}

function act(action) {
  if (action === "clear") {
    remember();
    grid = new Uint16Array(width * height).fill(blank);
    start = grid.slice();
    startText = encode(start);
  } else {
    const [from, to] = action === "undo" ? [past, future] : [future, past];
    if (!from.length) return;
    to.push(grid);
    grid = from.pop();
  }
  publish();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  clearTimeout(timer);
  if (tool === "fill") { fill(place(event)); return; }
  remember();
  last = place(event);
  stroke(last, last);
});
canvas.addEventListener("pointermove", (event) => {
  showCursor(event);
  if (!last) return;
  for (const moved of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
    const here = place(moved);
    stroke(last, here);
    last = here;
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => { if (last) { last = null; publish(); } });
}
canvas.addEventListener("pointerleave", () => { cursor.style.display = "none"; });
for (const button of buttons("tool")) button.addEventListener("click", () => choose(button.dataset.tool));
for (const button of buttons("action")) button.addEventListener("click", () => act(button.dataset.action));
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input:not([type=radio]):not([type=range]), textarea, [contenteditable]")) return;
  const key = event.key.toLowerCase();
  const tools = { b: "brush", f: "fill", e: "erase" };
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code); // 1 is the first label, 0 the tenth, on any keyboard
  if ((event.ctrlKey || event.metaKey) && key === "z") { event.preventDefault(); act(event.shiftKey ? "redo" : "undo"); }
  else if (event.ctrlKey && key === "y") { event.preventDefault(); act("redo"); }
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (digit) element.querySelectorAll(".chip input")[(Number(digit[1]) + 9) % 10]?.click();
  else if (tools[key]) choose(tools[key]);
  else if (key === "[" || key === "]") sizeInput.value = Number(sizeInput.value) + (key === "]" ? 6 : -6);
});

const palette = element.querySelector(".palette");
const group = `label-${Math.random().toString(36).slice(2)}`;
labels.forEach(({ name, color }, number) => {
  const chip = document.createElement("label");
  chip.className = "chip";
  if (number < 10) chip.title = `${name} (key ${(number + 1) % 10})`;
  chip.innerHTML = '<input type="radio"><span class="swatch"></span><span></span>';
  chip.lastChild.textContent = name;
  chip.children[1].style.background = `rgb(${color})`;
  Object.assign(chip.firstChild, { name: group, value: name, checked: number === label });
  chip.firstChild.addEventListener("change", () => { label = number; if (tool === "erase") choose("brush"); });
  palette.append(chip);
});

function load(mask, from) {
  [grid, start] = [decode(mask), decode(from)]; // nothing is changed if one of them is broken
  startText = saved = from;
  redraw();
}
function restore() {
  try {
    const { mask, start } = JSON.parse(localStorage.getItem(storage));
    load(mask, start);
    setTimeout(() => { props.value = mask; }); // Gradio takes no value while it builds the page
    return true;
  } catch { return false; } // nothing is kept, or nothing can be
}
watch("value", () => { remember(); load(props.value, props.value); keep(); }); // a mask from the server
window.addEventListener("beforeunload", (event) => { if (props.value !== saved) event.preventDefault(); });
document.addEventListener("scene-saved", () => { saved = props.value; });
choose(tool);
palette.scrollTop = palette.querySelector(":checked").parentElement.offsetTop - palette.offsetTop;
restore() || load(props.value, props.value);
