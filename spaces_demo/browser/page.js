// The page: the visitor's scene, and the action of each button.

import { LabelGrid } from "./label_grid.js";
import { mountCanvas } from "./mask_canvas.js";
import { codesOf, colored, filled, formatOf, holdsIds, readMask } from "./masks.js";
import { Model } from "./model.js";
import { framed, noteAbout } from "./photo.js";
import { mountViews } from "./picture_views.js";
import { bitmapOf, download, pixelsOf, saveCanvas, show, thumbnailOf } from "./pictures.js";
import { blended, chosen, pick, readBlend, readOutlines, readScene, readStyles, seedOf, styleOfSeed, writeScene } from "./scene.js";
import { mountThumbnails } from "./thumbnails.js";

const MAX_SEED = 2 ** 31 - 1;
const VARIANTS = 4;
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const $ = (id) => document.getElementById(id);

const [config] = await Promise.all([
  load("config.json").then((response) => response.json()),
  fill("canvas", "mask_canvas.html"),
  fill("compare", "picture_views.html"),
]);
const storage = `${config.storage} styles`;

// The visitor's styles; the canvas keeps its mask by itself.
let { styles, blend } = kept() ?? { styles: config.first_styles, blend: 1 }; // the last two styles, each {name, latents}
const outlines = keptOutlines() ?? { strength: config.outlines?.first_strength ?? 0, seed: 0 };

/** Fetches a file of the page's version. */
async function load(name) {
  const response = await fetch(new URL(name, import.meta.url)).catch(() => null);
  if (!response?.ok) throw new Error(`${name} could not be loaded${response ? ` (${response.status})` : ""}.`);
  return response;
}

async function fill(id, name) {
  $(id).innerHTML = await (await load(name)).text();
}

function kept() {
  try {
    const { styles, blend } = JSON.parse(localStorage.getItem(storage));
    const read = readStyles(styles, config.latent_dim);
    return read && { styles: read, blend: readBlend(blend) };
  } catch { return null; } // nothing is kept, or by an older version of this page
}

function keep() {
  try { localStorage.setItem(storage, JSON.stringify({ styles, blend })); } catch { /* full or forbidden */ }
}

function keptOutlines() {
  try { return readOutlines(JSON.parse(localStorage.getItem(`${config.storage} outlines`))); } catch { return null; }
}

function keepOutlines() {
  try { localStorage.setItem(`${config.storage} outlines`, JSON.stringify(outlines)); } catch { /* full or forbidden */ }
}

// Masks and styles

function readGrid() {
  return LabelGrid.decode(props.value, config.labels.length);
}

/** The mask at its picture's size. */
function mask() {
  const grid = readGrid();
  const [height, width] = formatOf(grid.width, grid.height, config.formats).size;
  return grid.resized(width, height);
}

function codes() {
  const grid = natural ?? filled(mask(), latest, config);
  return { size: [grid.height, grid.width], codes: codesOf(grid, config.num_labels, config.has_edges) };
}

/** The style that is painted; null for a model without styles. */
function style() {
  return config.latent_dim === null ? null : blended(styles, blend);
}

function randomSeed() {
  return Math.floor(Math.random() * 1e6);
}

/** The random style of a seed, as vivid as the slider says. */
function randomStyle(seed) {
  return styleOfSeed(seed, Number($("vividness").value), config.latent_dim);
}

/** Picks a style; `image`, a URL, is the thumbnail of an own one. */
function choose(style, image) {
  setStyles(pick(styles, style), 1, image);
  dim();
  repaint();
}

function setStyles(newStyles, newBlend, image) {
  [styles, blend] = [newStyles, newBlend];
  keep();
  showStyles(image);
}

function showStyles(image) {
  if (config.latent_dim === null) return;
  [$("before").textContent, $("last").textContent] = styles.map(({ name }) => name);
  $("blend").value = blend;
  $("seed").value = seedOf(styles[1].name) ?? $("seed").value;
  const own = styles.findLast((style) => !isExample(style.name));
  setThumbnails({ chosen: chosen(styles, blend)?.name ?? "", own: own && (image ? { ...own, image } : own) });
}

function isExample(name) {
  return config.styles.some((style) => style.name === name);
}

// Pictures: one at a time; of the waiting ones, only the last is painted. A changed mask is painted at once as it is, and again
// when its outlines are drawn.

const model = new Model(config, () => repaintMask());
let natural = null; // the mask with natural outlines, which is painted instead; null if there is none (yet)
let latest = null; // the last `natural`: until the next one, it fills what is not painted
let isPainting = false;
let isStale = false; // whether there is something new to paint
let wanted = null; // what the outline model is to draw, {strength, seed, steps}; null if the visitor wants nothing, or has it

function repaint() {
  document.dispatchEvent(new Event("picture"));
  if (!model.isReady) return;
  isStale = true;
  work();
}

function repaintMask() {
  natural = null;
  repaint();
  drawOutlines();
}

/** Draws outlines, except while a stroke goes on; the picture stays as it is until they are there. */
function drawOutlines() {
  const isDrawing = document.querySelector("#canvas .stage").hasAttribute("data-painting");
  $("redraw").disabled = !isNatural();
  draw(isNatural() && !isDrawing ? { ...outlines } : null);
}

function setStrength(strength) {
  outlines.strength = strength;
  $("strength").value = strength;
  keepOutlines();
}

/** Lets the outline model draw something else than it does, or nothing. */
function draw(request) {
  wanted = request;
  if (!model.isReady || !config.outlines) return;
  model.cancelRefining();
  if (request) work();
}

/** Whether the outline model draws the mask: for natural outlines, or to fill what is not painted. */
function isNatural() {
  return config.outlines !== null && (outlines.strength > 0 || mask().labels.includes(config.canvas.unpainted));
}

/** Paints what is to be painted, then draws what is to be drawn. */
async function work() {
  if (isPainting) return;
  isPainting = true;
  try {
    while (isStale || wanted) {
      if (isStale) await paint();
      else await refine();
    }
  } catch (error) { say(`The picture could not be painted: ${error.message} Reload the page; your mask is kept.`); }
  finally {
    isPainting = false;
    document.dispatchEvent(new Event("painted"));
  }
}

async function paint() {
  isStale = false;
  const painted = style();
  const { size, pixels, milliseconds } = await model.ask({ type: "paint", ...codes(), latents: painted?.latents });
  show($("picture"), pixels, size);
  if (painted && !isExample(painted.name)) setThumbnails({ painted: { name: painted.name, image: thumbnailOf($("picture")) } });
  const facts = [`${(milliseconds / 1000).toFixed(2)} s`, `${size[1]} x ${size[0]} pixels`];
  $("status").textContent = [...facts, ...(painted ? [`style: ${painted.name}`] : [])].join(" · ");
  $("take-over").disabled = natural === null;
  document.body.dataset.milliseconds = Math.round(milliseconds);
  document.body.dataset.pictures = Number(document.body.dataset.pictures ?? 0) + 1;
  if (!isStale) document.dispatchEvent(new Event("painted"));
}

async function refine() {
  const request = wanted;
  const { isLayout, ...options } = request;
  const { width, height, labels: painted } = mask();
  const labels = isLayout ? painted.map(() => config.canvas.unpainted) : painted;
  const answer = await model.ask({ type: "refine", size: [height, width], labels, ...options });
  if (wanted !== request) return; // the mask or the wish has changed
  wanted = null;
  natural = latest = new LabelGrid(width, height, answer.labels);
  if (isLayout) takeOver();
  repaint();
}

/** Puts natural outlines on the canvas for good: the slider goes to "as painted", or the next stroke would redraw them. */
function keepNatural() {
  if (natural === null) return; // there was a stroke since
  takeOver();
  setStrength(0);
  draw(null);
  natural = null; // the canvas is this mask now, and so is the picture
  $("take-over").disabled = $("redraw").disabled = true;
  say("These outlines are on the canvas now. The slider is at “as painted”, so that they stay as they are.", "note");
}

/** Puts a mask that the outline model has drawn, and that the picture is of, on the canvas. */
function takeOver() {
  const [rows, columns] = formatOf(natural.width, natural.height, config.formats).canvas_size;
  const text = natural.resized(columns, rows).encode();
  if (text === props.value) return;
  draw(null);
  setCanvas(text);
  setMasks({ chosen: "" });
}

/** Dims the picture until the next one, which will be unlike it. */
function dim() {
  if (model.isReady) document.dispatchEvent(new Event("waiting"));
}

async function showVariants() {
  if (!model.isReady) return;
  document.dispatchEvent(new CustomEvent("view", { detail: "variants" }));
  $("variants").replaceChildren();
  const coded = codes();
  for (let i = 0; i < VARIANTS && $("show").dataset.view === "variants"; i++) {
    const style = randomStyle(randomSeed());
    const { pixels } = await model.ask({ type: "paint", ...coded, latents: Float32Array.from(style.latents) });
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Go on in the style of ${style.name}`);
    const canvas = document.createElement("canvas");
    show(canvas, pixels, coded.size);
    button.append(canvas);
    button.addEventListener("click", () => choose(style));
    $("variants").append(button);
  }
}

// Files

/** The mask in the labels' colors, at the picture's size. */
function saveMask() {
  const { labels, width, height } = mask();
  const canvas = document.createElement("canvas");
  show(canvas, colored(labels, config.labels, config.canvas.unpainted), [height, width]);
  saveCanvas(canvas, "mask_colours.png");
}

function saveScene() {
  const scene = writeScene(readGrid(), styles, blend, config);
  download(new Blob([scene], { type: "application/json" }), "scene.spade.json");
  document.dispatchEvent(new Event("scene-saved"));
}

async function openFile(file) {
  const head = await file.slice(0, 100).text();
  if (/^\s*{/.test(head) || /\.json$/i.test(file.name)) openScene(await file.text());
  else await openMask(file);
}

function openScene(text) {
  const { grid, styles, blend } = readScene(text, config);
  if (styles) setStyles(styles, blend);
  const [rows, columns] = formatOf(grid.width, grid.height, config.formats).canvas_size;
  setMask(grid.resized(columns, rows).encode());
}

async function openMask(file) {
  // labels' colors as they are in the file, without the profile of a screen or camera
  const bitmap = await bitmapOf(file, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const { max_pixels } = config.rules;
  if (width * height > max_pixels) {
    throw new Error(`The picture has ${width}x${height} pixels; at most ${Math.floor(max_pixels / 1e6)} megapixels are taken.`);
  }
  const hasIds = holdsIds(new Uint8Array(await file.slice(0, 26).arrayBuffer()));
  const { grid, notes } = readMask({ pixels: pixelsOf(bitmap, [height, width]), width, height }, hasIds, config);
  setMask(grid.encode());
  if (notes.length) say(`The mask was changed to fit: ${notes.join("; ")}.`, "note");
}

async function openStyle(file) {
  const bitmap = await bitmapOf(file);
  choose(await styleOf(file, bitmap), thumbnailOf(bitmap));
}

/** The style of a picture. */
async function styleOf(file, bitmap) {
  if (!model.isReady) throw new Error("The model is still loading. Try again in a moment.");
  const pixels = pixelsOf(bitmap, config.encoder_size);
  checkOpaque(pixels, file);
  const { latents } = await model.ask({ type: "encode", pixels });
  return { name: file.name.slice(0, 40), latents };
}

function checkOpaque(pixels, { name }) {
  if (pixels.every((value, i) => i % 4 !== 3 || value === 255)) return;
  throw new Error(`${name} has transparent pixels, which have no light of their own. Save it without.`);
}

let latestPhoto = null; // the file; the answer about an older one is dropped

/** Makes a photograph the canvas, and its light the style. */
async function openPhoto(file) {
  if (!model.isReady) throw new Error("The model is still loading. Try again in a moment.");
  latestPhoto = file;
  const bitmap = await bitmapOf(file);
  const line = $("status").textContent;
  dim();
  draw(null); // outlines of the canvas that goes
  try {
    const isStyle = Boolean(config.encoder_size);
    const style = isStyle ? await styleOf(file, bitmap) : null;
    const { number, picture, image, isCut } = framed(bitmap, config);
    checkOpaque(picture.pixels, file);
    const { labels, confidence } = await model.ask({ type: "segment", format: number, picture });
    if (latestPhoto !== file) return;
    if (isStyle) setStyles(pick(styles, style), 1, thumbnailOf(bitmap));
    const [rows, columns] = config.formats[number].canvas_size;
    const mask = new LabelGrid(columns, rows, labels).encode();
    setMask(mask);
    document.dispatchEvent(new CustomEvent("photo", { detail: { mask, image } }));
    say(noteAbout({ confidence, isCut, isStyle }, config.rules.unsure), "note");
  } catch (error) {
    $("status").textContent = line;
    document.dispatchEvent(new Event("painted"));
    if (natural === null) drawOutlines(); // the canvas stays
    throw error;
  }
}

let silence = null;
function say(text, kind = "error") {
  $("message").textContent = text;
  $("message").dataset.kind = kind;
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

// The canvas and the thumbnails, which it shares with the Gradio page

/** Mounts a shared module; returns a function that gives it another value. */
function mount(module, element, props, onEvent) {
  const watchers = [];
  module(element, props, onEvent, (name, watcher) => watchers.push(watcher));
  return (value) => {
    props.value = value;
    for (const watcher of watchers) watcher();
  };
}

/** Puts a mask on the canvas; `name` is the example's that it is. */
function setMask(text, name = "") {
  setCanvas(text);
  setMasks({ chosen: name });
  dim();
  repaintMask();
}

/** An example mask in the format of another mask's text. */
function exampleIn(text, { mask }) {
  const { width, height } = LabelGrid.decode(text, config.labels.length);
  return LabelGrid.decode(mask, config.labels.length).reframed(width, height).encode();
}

/** The name of the example that the canvas, kept or new, started from. */
function exampleAtStart() {
  try {
    const { start } = JSON.parse(localStorage.getItem(config.storage)) ?? { start: config.first_mask };
    return config.masks.find((example) => exampleIn(start, example) === start)?.name ?? "";
  } catch { return ""; } // it is not an example's, or the browser keeps nothing
}

mountViews($("compare"));
const props = { ...config.canvas, value: config.first_mask };
const setCanvas = mount(mountCanvas, $("canvas"), props, (name) => {
  if (name === "edit") draw(null); // a stroke begins
  else repaintMask();
});
const masks = { items: config.masks, value: { chosen: exampleAtStart() } };
const setMasks = mount(mountThumbnails, $("masks"), masks, (_, { index }) => {
  const example = config.masks[index];
  setMask(exampleIn(props.value, example), example.name); // the canvas keeps its format
});
const ownStyle = { items: config.styles, storage: `${config.storage} own style`, value: {} };
const setThumbnails = mount(mountThumbnails, $("styles"), ownStyle, (_, { index, value }) => {
  const { name, latents } = config.styles[index] ?? value;
  choose({ name, latents });
});
$("invitation").textContent = config.invitation;
$("style").hidden = $("four").hidden = config.latent_dim === null;
$("own").hidden = !config.encoder_size;
$("photo").hidden = config.segmenter === null;
if (config.segmenter) $("own").firstChild.textContent = "Photo's light";
showStyles();
$("outlines").hidden = config.outlines === null;
$("strength").value = outlines.strength;

$("four").addEventListener("click", () => {
  if ($("show").dataset.view === "variants") document.dispatchEvent(new Event("picture"));
  else showVariants().catch((error) => say(error.message));
});
$("compare-view").addEventListener("click", () => document.dispatchEvent(new CustomEvent("view", { detail: "compare" })));
$("save-picture").addEventListener("click", () => saveCanvas($("picture"), "picture.png"));
$("save-twice").addEventListener("click", () => document.dispatchEvent(new Event("save-twice")));
$("save-mask").addEventListener("click", saveMask);
$("save-scene").addEventListener("click", saveScene);
$("surprise").addEventListener("click", () => {
  $("seed").value = randomSeed();
  choose(randomStyle(Number($("seed").value)));
});
function pickSeed() {
  const seed = Number($("seed").value);
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED) choose(randomStyle(seed));
  else say(`The seed is a whole number from 0 to ${MAX_SEED}.`);
}
$("seed").addEventListener("change", pickSeed);
$("vividness").addEventListener("input", pickSeed);
$("blend").addEventListener("input", () => { setStyles(styles, Number($("blend").value)); repaint(); });
$("strength").addEventListener("input", () => {
  setStrength(Number($("strength").value));
  if (isNatural()) drawOutlines();
  else repaintMask();
});
$("redraw").addEventListener("click", () => {
  outlines.seed = randomSeed();
  keepOutlines();
  drawOutlines();
});
$("new-layout").addEventListener("click", () => {
  dim();
  draw({ strength: 1, seed: randomSeed(), steps: config.outlines.layout_steps, isLayout: true });
});
$("take-over").addEventListener("click", keepNatural);
$("retry").addEventListener("click", () => model.start());
onFile($("open-file"), openFile);
onFile($("own-file"), openStyle);
onFile($("photo-file"), openPhoto);

document.dispatchEvent(new Event("started")); // for start.js
if (WebAssembly.validate(Uint8Array.from(SIMD))) model.start();
else {
  $("progress").hidden = true;
  $("loading-text").textContent = "This browser has no WebAssembly SIMD, which the model needs. Open the page in a newer one.";
}

if ("serviceWorker" in navigator && window.isSecureContext) {
  navigator.serviceWorker.register("service_worker.js"); // beside index.html: it serves the whole page
  navigator.serviceWorker.ready.then(() => { $("offline").textContent = "It also works offline."; });
}
