// The page: what each button does. The painting itself is painter.js's, in a worker.

import { mountCanvas } from "./mask_canvas.js";
import { randn } from "./random.js";

const SCENE_FORMAT = "spade_hf scene 1";
const MAX_SEED = 2 ** 31 - 1;
const VARIANTS = 4;
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const $ = (id) => document.getElementById(id);

const config = await (await fetch("config.json")).json();
const [height, width] = config.size;
const canvasSize = config.canvas_size; // height and width
const storage = `${config.storage} styles`;

// What the person has made: the canvas keeps its mask by itself.
let styles = kept() ?? config.first_styles; // the last two, each {name, latents}
let blend = 1;

function kept() {
  try {
    const { styles } = JSON.parse(localStorage.getItem(storage));
    return styles.every(({ latents }) => latents.length === config.latent_dim) ? styles : null;
  } catch { return null; }
}

function keep() {
  try { localStorage.setItem(storage, JSON.stringify({ styles })); } catch { /* full or forbidden */ }
}

// The worker: one picture at a time, and of those that wait, the last.

let worker = null;
let isReady = false;
let number = 0;
const waiting = new Map(); // number -> what to do with the answer

function startWorker() {
  $("loading").hidden = false;
  $("retry").hidden = true;
  $("progress").hidden = false;
  $("loading-text").textContent = "Loading the model…";
  worker?.terminate();
  isReady = false;
  for (const { reject } of waiting.values()) reject(new Error("The model is started anew."));
  waiting.clear();
  worker = new Worker("painter.js", { type: "module" });
  worker.onmessage = ({ data }) => receive(data);
  worker.onerror = (event) => { event.preventDefault?.(); fail("The model could not be started."); };
  worker.postMessage({ type: "load", config });
}

function receive(data) {
  if (data.type === "progress") $("progress").value = data.share;
  else if (data.type === "ready") { isReady = true; $("loading").hidden = true; repaint(); }
  else if (data.type === "error" && data.of === "load") fail(data.text);
  else {
    const answer = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.type === "error") { answer.reject(new Error(data.text)); } else answer.resolve(data);
  }
}

/** The page's words for a model that did not load; the canvas stays as it is. */
function fail(text) {
  $("loading").hidden = false;
  $("progress").hidden = true;
  $("retry").hidden = false;
  const advice = navigator.onLine ? "Try again; if it stays so, reload the page." : "You are offline: connect, then try again.";
  $("loading-text").textContent = `The model could not be loaded. ${text} ${advice} Your mask is kept.`;
}

function ask(message) {
  return new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    worker.postMessage({ ...message, number });
  });
}

// Masks and styles

/** The label codes of the canvas at the model's size: the label under each pixel's centre, and where edges run. */
function codes() {
  const grid = decode(props.value);
  const [rows, columns] = canvasSize;
  const labels = new Int32Array(height * width);
  for (let row = 0; row < height; row++) {
    const from = Math.floor(((row + 0.5) * rows) / height) * columns;
    for (let column = 0; column < width; column++) {
      labels[row * width + column] = grid[from + Math.floor(((column + 0.5) * columns) / width)];
    }
  }
  if (!config.has_edges) return labels;
  const coded = labels.slice(); // every area of one label counts as one instance
  const mark = (i, j) => { if (labels[i] !== labels[j]) for (const k of [i, j]) coded[k] = labels[k] + config.labels.length; };
  for (let i = 0; i < labels.length; i++) {
    if (i % width) mark(i, i - 1);
    if (i >= width) mark(i, i - width);
  }
  return coded;
}

function decode(text) {
  const numbers = text.split(" ").map(Number);
  const grid = new Uint16Array(numbers[0] * numbers[1]);
  for (let i = 2, at = 0; i < numbers.length; i += 2) grid.fill(numbers[i + 1], at, (at += numbers[i]));
  return grid;
}

function encode(grid, [rows, columns]) {
  const numbers = [columns, rows];
  for (let first = 0, i = 1; i <= grid.length; i++) {
    if (i === grid.length || grid[i] !== grid[first]) { numbers.push(i - first, grid[first]); first = i; }
  }
  return numbers.join(" ");
}

function latents() {
  if (config.latent_dim === null) return null;
  const [before, last] = styles;
  return Float32Array.from(last.latents, (value, i) => before.latents[i] + (value - before.latents[i]) * blend);
}

function styleOfSeed(seed) {
  return { name: `seed ${seed}`, latents: Array.from(randn(seed, config.latent_dim)) };
}

function pick(style) {
  styles = [styles[1], style];
  blend = 1;
  keep();
  showStyles();
  repaint();
}

function showStyles() {
  if (config.latent_dim === null) return;
  [$("before").textContent, $("last").textContent] = styles.map(({ name }) => name);
  $("blend").value = blend;
  for (const button of $("styles").children) {
    button.setAttribute("aria-pressed", button.dataset.name === styles[1].name && blend === 1);
  }
}

// Pictures

let isPainting = false;
let isStale = false;

async function repaint() {
  closeVariants();
  if (!isReady) return;
  isStale = true;
  if (isPainting) return;
  isPainting = true;
  try {
    while (isStale) {
      isStale = false;
      const { pixels, milliseconds } = await ask({ type: "paint", codes: codes(), latents: latents() });
      show($("picture"), pixels);
      drawOverlay();
      $("status").textContent = `${(milliseconds / 1000).toFixed(2)} s`;
      document.body.dataset.milliseconds = Math.round(milliseconds);
      document.body.dataset.pictures = Number(document.body.dataset.pictures ?? 0) + 1;
    }
  } catch (error) { say(`The picture could not be painted: ${error.message} Reload the page; your mask is kept.`); }
  finally { isPainting = false; }
}

function show(canvas, pixels) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

async function showVariants() {
  if (!isReady) return;
  $("variants").replaceChildren();
  $("variants").hidden = false;
  $("four").setAttribute("aria-pressed", true);
  const mask = codes();
  for (let i = 0; i < VARIANTS && !$("variants").hidden; i++) {
    const style = styleOfSeed(Math.floor(Math.random() * 1e6));
    const { pixels } = await ask({ type: "paint", codes: mask, latents: Float32Array.from(style.latents) });
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Go on in the style of ${style.name}`);
    const canvas = document.createElement("canvas");
    show(canvas, pixels);
    button.append(canvas);
    button.addEventListener("click", () => pick(style));
    $("variants").append(button);
  }
}

function closeVariants() {
  $("variants").hidden = true;
  $("four").setAttribute("aria-pressed", false);
}

function drawOverlay() {
  const grid = decode(props.value);
  const [rows, columns] = canvasSize;
  const pixels = new Uint8ClampedArray(4 * grid.length);
  for (let i = 0; i < grid.length; i++) pixels.set([...config.labels[grid[i]].color, 255], 4 * i);
  Object.assign($("overlay"), { width: columns, height: rows });
  $("overlay").getContext("2d").putImageData(new ImageData(pixels, columns, rows), 0, 0);
  $("overlay").style.clipPath = `inset(0 ${100 - $("divider").value}% 0 0)`;
}

// Files

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveCanvas(canvas, name) {
  canvas.toBlob((blob) => download(blob, name), "image/png");
}

function saveScene() {
  const scene = {
    format: SCENE_FORMAT, labels: config.labels.map(({ name }) => name), size: canvasSize, mask: props.value, blend,
    ...(config.latent_dim === null ? {} : { styles }),
  };
  download(new Blob([JSON.stringify(scene)], { type: "application/json" }), "scene.spade.json");
  document.dispatchEvent(new Event("scene-saved"));
}

async function openFile(file) {
  if (file.name.endsWith(".json")) openScene(await file.text());
  else openMask(await pixelsOf(file, canvasSize, false));
}

function openScene(text) {
  let scene;
  try { scene = JSON.parse(text); } catch { throw new Error("This file is no scene: it is not JSON."); }
  if (scene?.format !== SCENE_FORMAT) throw new Error("This file is no scene of this page. Open one that “Save scene” wrote.");
  const numbers = scene.labels.map((name) => config.labels.findIndex((label) => label.name === name));
  const grid = decode(scene.mask);
  if (grid.some((label) => !(numbers[label] >= 0))) throw new Error("The scene has labels that this model does not know.");
  const [rows, columns] = scene.size;
  const resized = new Uint16Array(canvasSize[0] * canvasSize[1]);
  for (let i = 0; i < resized.length; i++) {
    const row = Math.floor(((Math.floor(i / canvasSize[1]) + 0.5) * rows) / canvasSize[0]);
    const column = Math.floor((((i % canvasSize[1]) + 0.5) * columns) / canvasSize[1]);
    resized[i] = numbers[grid[row * columns + column]];
  }
  if (scene.styles?.every(({ latents }) => latents.length === config.latent_dim)) {
    styles = scene.styles;
    blend = scene.blend;
    keep();
    showStyles();
  }
  setMask(encode(resized, canvasSize));
}

/** A mask in the labels' colours; other colours become the nearest label's, if they are few. */
function openMask(pixels) {
  const known = new Map(config.labels.map(({ color }, number) => [color.join(), number]));
  const grid = new Uint16Array(pixels.length / 4);
  let strangers = 0;
  for (let i = 0; i < grid.length; i++) {
    const color = pixels.subarray(4 * i, 4 * i + 3);
    const key = color.join();
    if (!known.has(key)) known.set(key, -1 - nearest(color));
    const number = known.get(key);
    if (number < 0) strangers++;
    grid[i] = number < 0 ? -1 - number : number;
  }
  const share = strangers / grid.length;
  if (share > 0.2) {
    throw new Error(
      `${Math.round(100 * share)} % of this picture is not in the labels' colours, so it is no mask. For its light, use “Your picture”.`,
    );
  }
  setMask(encode(grid, canvasSize));
  if (strangers) say(`${Math.max(1, Math.round(100 * share))} % had other colours and took the nearest label's.`);
}

function nearest(color) {
  const distances = config.labels.map((label) => label.color.reduce((sum, value, i) => sum + (value - color[i]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}

/** A file's pixels, RGBA, at a size. */
async function pixelsOf(file, [rows, columns], smooth) {
  let bitmap;
  try { bitmap = await createImageBitmap(file); }
  catch { throw new Error(`${file.name} is no picture that this browser can read. Try a PNG or JPEG.`); }
  const context = new OffscreenCanvas(columns, rows).getContext("2d");
  Object.assign(context, { imageSmoothingEnabled: smooth, imageSmoothingQuality: "high" });
  context.drawImage(bitmap, 0, 0, columns, rows);
  return context.getImageData(0, 0, columns, rows).data;
}

async function openStyle(file) {
  if (!isReady) throw new Error("The model is still loading. Try again in a moment.");
  const pixels = await pixelsOf(file, config.encoder_size, true);
  const { latents } = await ask({ type: "encode", pixels });
  pick({ name: file.name.slice(0, 40), latents });
}

let silence = null;
function say(text) {
  $("message").textContent = text;
  $("message").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { $("message").hidden = true; }, 8000);
}

function onFile(input, open) {
  input.addEventListener("change", async () => {
    const [file] = input.files;
    input.value = "";
    try { if (file) await open(file); } catch (error) { say(error.message); }
  });
}

// The canvas, which it shares with the Gradio page

const watchers = [];
const props = {
  width: canvasSize[1], height: canvasSize[0], labels: config.labels, blank: config.blank, first: config.first_label,
  storage: config.storage, value: config.first_mask,
};
function setMask(text) {
  props.value = text;
  for (const watcher of watchers) watcher();
  repaint();
}
mountCanvas($("mask"), props, () => repaint(), (name, watcher) => watchers.push(watcher));

function thumbnail({ name, picture }, onClick) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name });
  button.dataset.name = name;
  button.append(Object.assign(new Image(), { src: picture, alt: "" }), name);
  button.addEventListener("click", onClick);
  return button;
}
for (const mask of config.masks) $("masks").append(thumbnail(mask, () => setMask(mask.mask)));
for (const style of config.styles) {
  $("styles").append(thumbnail(style, () => pick({ name: style.name, latents: style.latents })));
}
$("invitation").textContent = config.invitation;
$("style").hidden = $("four").hidden = config.latent_dim === null;
$("own").hidden = !config.encoder_size;
Object.assign($("picture"), { width, height });
showStyles();
drawOverlay();

$("four").addEventListener("click", () => ($("variants").hidden ? showVariants() : closeVariants()));
$("compare").addEventListener("click", () => {
  const isOn = $("overlay").hidden;
  $("overlay").hidden = $("divider").hidden = !isOn;
  $("compare").setAttribute("aria-pressed", isOn);
});
$("divider").addEventListener("input", drawOverlay);
$("save-picture").addEventListener("click", () => saveCanvas($("picture"), "picture.png"));
$("save-mask").addEventListener("click", () => saveCanvas($("overlay"), "mask_colours.png"));
$("save-scene").addEventListener("click", saveScene);
$("surprise").addEventListener("click", () => {
  $("seed").value = Math.floor(Math.random() * 1e6);
  pick(styleOfSeed(Number($("seed").value)));
});
$("seed").addEventListener("change", () => {
  const seed = Number($("seed").value);
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED) pick(styleOfSeed(seed));
  else say(`The seed is a whole number from 0 to ${MAX_SEED}.`);
});
$("blend").addEventListener("input", () => { blend = Number($("blend").value); showStyles(); repaint(); });
$("retry").addEventListener("click", startWorker);
onFile($("open-file"), openFile);
onFile($("own-file"), openStyle);

if (WebAssembly.validate(Uint8Array.from(SIMD))) startWorker();
else {
  $("progress").hidden = true;
  $("loading-text").textContent = "This browser has no WebAssembly SIMD, which the model needs. Open the page in a newer one.";
}

if ("serviceWorker" in navigator && window.isSecureContext) {
  navigator.serviceWorker.register("service_worker.js");
  navigator.serviceWorker.ready.then(() => { $("offline").textContent = "It works offline, too."; });
}
