// The page: the action of each button. The painting itself is done by painter.js, in a worker.

import { LabelGrid } from "./label_grid.js";
import { mountCanvas } from "./mask_canvas.js";
import { mountViews } from "./picture_views.js";
import { randn } from "./random.js";

const SCENE_FORMAT = "spade_hf scene 1";
const MAX_SEED = 2 ** 31 - 1;
const VARIANTS = 4;
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const $ = (id) => document.getElementById(id);

const config = await (await fetch("config.json")).json();
const storage = `${config.storage} styles`;

// The visitor's styles; the canvas keeps its mask by itself.
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

// The worker: one picture at a time; of the waiting ones, only the last is painted.

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
  for (const { reject } of waiting.values()) reject(new Error("The model is being restarted."));
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

/** Shows that the model did not load; the canvas stays as it is. */
function fail(text) {
  $("loading").hidden = false;
  $("progress").hidden = true;
  $("retry").hidden = false;
  const advice = navigator.onLine ? "Try again. If that does not help, reload the page." : "You are offline: connect, then try again.";
  $("loading-text").textContent = `The model could not be loaded. ${text} ${advice} Your mask is kept.`;
}

function ask(message) {
  return new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    worker.postMessage({ ...message, number });
  });
}

// Masks and styles

function readGrid() {
  return LabelGrid.decode(props.value, config.labels.length);
}

/** The format of a picture or canvas: the one with the nearest ratio. */
function formatOf(width, height) {
  const distance = ({ size: [rows, columns] }) => Math.abs(Math.log((columns / rows) * (height / width)));
  return config.formats.reduce((best, format) => (distance(format) < distance(best) ? format : best));
}

/** The picture's height and width, and a label code for each of its pixels: the canvas' label, and where edges run. */
function codes() {
  const grid = readGrid();
  const [height, width] = formatOf(grid.width, grid.height).size;
  const labels = Int32Array.from(grid.resized(width, height).labels);
  if (!config.has_edges) return { size: [height, width], codes: labels };
  const coded = labels.slice(); // all pixels of one label count as one instance
  const mark = (i, j) => { if (labels[i] !== labels[j]) for (const k of [i, j]) coded[k] = labels[k] + config.labels.length; };
  for (let i = 0; i < labels.length; i++) {
    if (i % width) mark(i, i - 1);
    if (i >= width) mark(i, i - width);
  }
  return { size: [height, width], codes: coded };
}

function latents() {
  if (config.latent_dim === null) return null;
  const [before, last] = styles;
  return Float32Array.from(last.latents, (value, i) => before.latents[i] + (value - before.latents[i]) * blend);
}

/** The random style of a seed; the slider says how far from the mean style it is. */
function styleOfSeed(seed) {
  const vividness = Number($("vividness").value);
  const name = vividness === 1 ? `seed ${seed}` : `seed ${seed}, vivid ${Math.round(100 * vividness)} %`;
  return { name, seed, latents: Array.from(randn(seed, config.latent_dim), (value) => vividness * value) };
}

/** Makes a style the last one; the same seed in another vividness replaces the last one. */
function pick(style) {
  const isSame = style.seed !== undefined && style.seed === styles[1].seed;
  styles = [styles[isSame ? 0 : 1], style];
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
  document.dispatchEvent(new Event("picture"));
  if (!isReady) return;
  isStale = true;
  if (isPainting) return;
  isPainting = true;
  try {
    while (isStale) {
      isStale = false;
      const { size, pixels, milliseconds } = await ask({ type: "paint", ...codes(), latents: latents() });
      show($("picture"), pixels, size);
      $("status").textContent = `${(milliseconds / 1000).toFixed(2)} s · ${size[1]} x ${size[0]} pixels`;
      document.body.dataset.milliseconds = Math.round(milliseconds);
      document.body.dataset.pictures = Number(document.body.dataset.pictures ?? 0) + 1;
    }
  } catch (error) { say(`The picture could not be painted: ${error.message} Reload the page; your mask is kept.`); }
  finally { isPainting = false; }
}

function show(canvas, pixels, [height, width]) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

async function showVariants() {
  if (!isReady) return;
  document.dispatchEvent(new CustomEvent("view", { detail: "variants" }));
  $("variants").replaceChildren();
  const mask = codes();
  for (let i = 0; i < VARIANTS && $("show").dataset.view === "variants"; i++) {
    const style = styleOfSeed(Math.floor(Math.random() * 1e6));
    const { pixels } = await ask({ type: "paint", ...mask, latents: Float32Array.from(style.latents) });
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Go on in the style of ${style.name}`);
    const canvas = document.createElement("canvas");
    show(canvas, pixels, mask.size);
    button.append(canvas);
    button.addEventListener("click", () => pick(style));
    $("variants").append(button);
  }
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

/** The mask in the labels' colours, at the picture's size. */
function saveMask() {
  const grid = readGrid();
  const [height, width] = formatOf(grid.width, grid.height).size;
  const pixels = new Uint8ClampedArray(4 * height * width);
  grid.resized(width, height).labels.forEach((label, i) => pixels.set([...config.labels[label].color, 255], 4 * i));
  const canvas = document.createElement("canvas");
  show(canvas, pixels, [height, width]);
  saveCanvas(canvas, "mask_colours.png");
}

function saveScene() {
  const { width, height } = readGrid();
  const scene = {
    format: SCENE_FORMAT, labels: config.labels.map(({ name }) => name), size: [height, width], mask: props.value, blend,
    ...(config.latent_dim === null ? {} : { styles }),
  };
  download(new Blob([JSON.stringify(scene)], { type: "application/json" }), "scene.spade.json");
  document.dispatchEvent(new Event("scene-saved"));
}

async function openFile(file) {
  if (file.name.endsWith(".json")) openScene(await file.text());
  else openMask(await bitmapOf(file));
}

function openScene(text) {
  let scene;
  try { scene = JSON.parse(text); } catch { throw new Error("This file is not a scene: it is not JSON."); }
  if (scene?.format !== SCENE_FORMAT) throw new Error("This file is not a scene of this page. Open one that “Scene” wrote.");
  const numbers = scene.labels.map((name) => config.labels.findIndex((label) => label.name === name));
  const grid = LabelGrid.decode(scene.mask, numbers.length);
  if (grid.labels.some((label) => numbers[label] < 0)) throw new Error("The scene has labels that this model does not know.");
  grid.labels = grid.labels.map((label) => numbers[label]);
  if (scene.styles?.every(({ latents }) => latents.length === config.latent_dim)) {
    styles = scene.styles;
    blend = scene.blend;
    keep();
    showStyles();
  }
  const [rows, columns] = formatOf(grid.width, grid.height).canvas_size;
  setMask(grid.resized(columns, rows).encode());
}

/** A mask in the labels' colours; other colours become the nearest label's, if they are few. */
function openMask(bitmap) {
  const [rows, columns] = formatOf(bitmap.width, bitmap.height).canvas_size;
  const pixels = pixelsOf(bitmap, [rows, columns], false);
  const known = new Map(config.labels.map(({ color }, number) => [color.join(), number]));
  const grid = new LabelGrid(columns, rows);
  let strangers = 0;
  for (let i = 0; i < grid.labels.length; i++) {
    const color = pixels.subarray(4 * i, 4 * i + 3);
    const key = color.join();
    if (!known.has(key)) known.set(key, -1 - nearest(color));
    const number = known.get(key);
    if (number < 0) strangers++;
    grid.labels[i] = number < 0 ? -1 - number : number;
  }
  const share = strangers / grid.labels.length;
  if (share > 0.2) {
    throw new Error(
      `${Math.round(100 * share)} % of this picture is not in the labels' colours, so it is not a mask. To use its light, choose “Your picture”.`,
    );
  }
  setMask(grid.encode());
  if (strangers) say(`${Math.max(1, Math.round(100 * share))} % of the pixels had other colours and became the nearest label.`);
}

function nearest(color) {
  const distances = config.labels.map((label) => label.color.reduce((sum, value, i) => sum + (value - color[i]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}

async function bitmapOf(file) {
  try { return await createImageBitmap(file); }
  catch { throw new Error(`${file.name} is not a picture that this browser can read. Try a PNG or JPEG.`); }
}

/** A picture's pixels, RGBA, at a size. */
function pixelsOf(bitmap, [rows, columns], smooth) {
  const context = new OffscreenCanvas(columns, rows).getContext("2d");
  Object.assign(context, { imageSmoothingEnabled: smooth, imageSmoothingQuality: "high" });
  context.drawImage(bitmap, 0, 0, columns, rows);
  return context.getImageData(0, 0, columns, rows).data;
}

async function openStyle(file) {
  if (!isReady) throw new Error("The model is still loading. Try again in a moment.");
  const pixels = pixelsOf(await bitmapOf(file), config.encoder_size, true);
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
const props = { ...config.canvas, value: config.first_mask };
function setMask(text, name = null) {
  props.value = text;
  for (const button of $("masks").children) button.setAttribute("aria-pressed", button.dataset.name === name);
  for (const watcher of watchers) watcher();
  repaint();
}
mountViews($("compare"));
mountCanvas($("canvas"), props, () => repaint(), (name, watcher) => watchers.push(watcher));

function thumbnail({ name, picture }, onClick) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name });
  button.dataset.name = name;
  button.append(Object.assign(new Image(), { src: picture, alt: "" }), name);
  button.addEventListener("click", onClick);
  return button;
}
for (const mask of config.masks) {
  $("masks").append(thumbnail(mask, () => {
    const { width, height } = readGrid(); // the canvas keeps its format
    setMask(LabelGrid.decode(mask.mask, config.labels.length).resized(width, height).encode(), mask.name);
  }));
}
for (const style of config.styles) {
  $("styles").append(thumbnail(style, () => pick({ name: style.name, latents: style.latents })));
}
$("invitation").textContent = config.invitation;
$("style").hidden = $("four").hidden = config.latent_dim === null;
$("own").hidden = !config.encoder_size;
showStyles();

$("four").addEventListener("click", () => {
  if ($("show").dataset.view === "variants") document.dispatchEvent(new Event("picture"));
  else showVariants();
});
$("compare-view").addEventListener("click", () => document.dispatchEvent(new CustomEvent("view", { detail: "compare" })));
$("save-picture").addEventListener("click", () => saveCanvas($("picture"), "picture.png"));
$("save-mask").addEventListener("click", saveMask);
$("save-scene").addEventListener("click", saveScene);
$("surprise").addEventListener("click", () => {
  $("seed").value = Math.floor(Math.random() * 1e6);
  pick(styleOfSeed(Number($("seed").value)));
});
function pickSeed() {
  const seed = Number($("seed").value);
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED) pick(styleOfSeed(seed));
  else say(`The seed is a whole number from 0 to ${MAX_SEED}.`);
}
$("seed").addEventListener("change", pickSeed);
$("vividness").addEventListener("input", pickSeed);
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
  navigator.serviceWorker.ready.then(() => { $("offline").textContent = "It also works offline."; });
}
