// The model, in a worker of its own: the page never waits for it.
//
// Messages in: {type: "load", config}, {type: "paint", number, codes, latents}, {type: "encode", number, pixels},
// {type: "refine", number, size, labels, strength, seed, steps}, {type: "cancel", number}; `steps` can be left out;
// {type: "segment", number, format, picture}.
// Messages out: {type: "progress", share}, {type: "ready"}, {type: "picture", number, pixels, milliseconds},
// {type: "latents", number, latents}, {type: "refined", number, labels, milliseconds}, {type: "cancelled", number},
// {type: "loading", share}, {type: "labels", number, labels, confidence, milliseconds}, {type: "error", number, text}.

import * as ort from "./runtime/ort.wasm.min.js";
import { neighborhoodInputs, reduced } from "./neighborhoods.js";
import { enlarged, refine } from "./outlines.js";
import { randn } from "./random.js";
import { labelsOf, resizedPhoto } from "./segmentation.js";

let config = null;
let generator = null;
let encoder = null;
let outlines = null;
let segmenter = null; // a promise: it is loaded for the first photograph
let refining = null; // the number of the request that is being answered; a newer one, or a cancel, replaces it

ort.env.wasm.numThreads = 1;
const runtime = (name) => new URL(`./runtime/${name}`, import.meta.url).href;
ort.env.wasm.wasmPaths = { mjs: runtime("ort-wasm-simd-threaded.js"), wasm: runtime("ort-wasm-simd-threaded.wasm") };

/** A file's bytes; `onBytes` is called for each part that arrives. */
async function download(url, size, onBytes) {
  const lost = () => { throw new Error(`The connection was lost while loading ${url}.`); };
  const response = await fetch(new URL(url, import.meta.url)).catch(lost);
  if (!response.ok) throw new Error(`The server answered ${response.status} for ${url}.`);
  const bytes = new Uint8Array(size);
  let at = 0;
  const reader = response.body.getReader();
  const read = () => reader.read().catch(lost);
  for (let part = await read(); !part.done; part = await read()) {
    if (at + part.value.length > size) throw new Error(`${url} is longer than it should be.`);
    bytes.set(part.value, at);
    at += part.value.length;
    onBytes(part.value.length);
  }
  if (at !== size) throw new Error(`${url} was cut off in the download.`);
  return bytes;
}

async function load(newConfig) {
  config = newConfig;
  const files = Object.entries(config.files);
  const total = files.reduce((sum, [, file]) => sum + file.bytes, 0);
  let loaded = 0;
  const onBytes = (count) => {
    loaded += count;
    postMessage({ type: "progress", share: loaded / total });
  };
  const options = { executionProviders: ["wasm"] };
  const parts = {};
  for (const [name, file] of files) parts[name] = await download(file.url, file.bytes, onBytes);
  generator = await ort.InferenceSession.create(parts.generator, options);
  encoder = parts.encoder ? await ort.InferenceSession.create(parts.encoder, options) : null;
  outlines = parts.outlines ? await ort.InferenceSession.create(parts.outlines, options) : null;
}

/** Loads the segmenter, again if it did not load, and keeps its file for offline use as service_worker.js keeps the others. */
async function loadSegmenter() {
  const { url, bytes: size } = config.segmenter;
  let loaded = 0;
  const bytes = await download(url, size, (count) => {
    loaded += count;
    postMessage({ type: "loading", share: loaded / size });
  });
  const folder = new URL(".", import.meta.url); // of the page's version
  const name = `paint-with-labels ${new URL("..", folder).href} ${folder.pathname.split("/").at(-2)}`;
  try { await (await caches.open(name)).put(new URL(url, folder), new Response(bytes)); } catch { /* full or forbidden */ }
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
}

function sparseFeeds(codes, height, width) {
  const inputs = Object.entries(neighborhoodInputs(codes, height, width, config.reading));
  return Object.fromEntries(inputs.map(([name, { data, dims }]) => [name, new ort.Tensor("int32", data, dims)]));
}

function denseFeeds(codes, height, width) {
  const count = config.num_labels, dims = [1, height, width];
  const ids = BigInt64Array.from(codes, (code) => BigInt(config.label_ids[code % count]));
  const feeds = { label_ids: new ort.Tensor("int64", ids, dims) };
  if (config.has_edges) feeds.instance_edges = new ort.Tensor("bool", Uint8Array.from(codes, (code) => code >= count), dims);
  return feeds;
}

/** A picture, RGBA, of label codes at its size and latents (N, Z), of which there is one. */
async function paint([height, width], codes, latents) {
  const feeds = config.reading ? sparseFeeds(codes, height, width) : denseFeeds(codes, height, width);
  if (latents) feeds.latents = new ort.Tensor("float32", latents, [1, latents.length]);
  const { images } = await generator.run(feeds);
  const area = height * width;
  const pixels = new Uint8ClampedArray(4 * area).fill(255);
  for (let channel = 0; channel < 3; channel++) {
    const start = Math.min(channel, images.dims[1] - 1) * area; // gray has one channel, which is all three colors
    for (let i = 0; i < area; i++) pixels[4 * i + channel] = (images.data[start + i] + 1) * 127.5;
  }
  return pixels;
}

/** Latents of a picture, RGBA of the encoder's size. */
async function encode(pixels) {
  const [height, width] = config.encoder_size;
  const area = height * width;
  const data = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) data[channel * area + i] = pixels[4 * i + channel] / 127.5 - 1;
  }
  const { latents } = await encoder.run({ pictures: new ort.Tensor("float32", data, [1, 3, height, width]) });
  return latents.data;
}

/**
 * A natural label map of a painted one, the same as the library's `refine_mask` with this seed; null if it was replaced.
 *
 * @param {Uint16Array} labels (H * W), numbers in `config.labels`; any other number, or that of no label, is not painted.
 */
async function refined(number, [height, width], labels, strength, seed, steps = config.outlines.steps) {
  const { classes, min_log_snr, max_log_snr, reduction } = config.outlines;
  const [h, w] = [height / reduction, width / reduction]; // drawn at the size at which the generator reads it
  const numLabels = classes.length, dims = [1, h, w];
  const places = new Map(classes.map((label, place) => [label, place]));
  const painted = Int32Array.from(labels, (label) => places.get(label) ?? numLabels);
  const labelMap = reduced(painted, height, width, reduction);
  const label_map = new ort.Tensor("int64", BigInt64Array.from(labelMap, BigInt), dims);
  const run = async (noisyMap, logSnr) => {
    await new Promise((resolve) => setTimeout(resolve)); // other messages come first
    if (refining !== number) return null;
    const noisy_map = new ort.Tensor("float32", noisyMap, [1, numLabels, h, w]);
    const { logits } = await outlines.run({ noisy_map, label_map, log_snr: new ort.Tensor("float32", [logSnr], [1]) });
    return logits.data;
  };
  const natural = await refine(run, labelMap, randn(seed, numLabels * labelMap.length), { width: w, strength, steps, min_log_snr, max_log_snr });
  if (natural === null) return null;
  const whole = enlarged(natural, painted, { width, reduction, strength, numLabels });
  return Uint16Array.from(whole, (place) => classes[place]);
}

/** The labels of a picture, numbers in `config.labels`, at the canvas' size of a format, and their mean probability. */
async function segment(format, picture) {
  segmenter ??= loadSegmenter().catch((error) => { segmenter = null; throw error; });
  const session = await segmenter;
  const { classes, sizes } = config.segmenter;
  const images = new ort.Tensor("float32", resizedPhoto(picture, sizes[format]), [1, 3, ...sizes[format]]);
  const { probabilities } = await session.run({ images });
  const { labels, confidence } = labelsOf(probabilities.data, sizes[format], config.formats[format].canvas_size);
  return { labels: labels.map((place) => classes[place]), confidence };
}

const answers = {
  load: async (message) => {
    await load(message.config);
    return { type: "ready" };
  },
  paint: async ({ size, codes, latents }) => {
    const started = performance.now();
    const pixels = await paint(size, codes, latents);
    return { type: "picture", size, pixels, milliseconds: performance.now() - started };
  },
  refine: async ({ number, size, labels, strength, seed, steps }) => {
    const started = performance.now();
    refining = number;
    const natural = await refined(number, size, labels, strength, seed, steps);
    return { type: "refined", labels: natural, milliseconds: performance.now() - started };
  },
  cancel: async () => {
    refining = null;
    return { type: "cancelled" };
  },
  segment: async ({ format, picture }) => {
    const started = performance.now();
    const found = await segment(format, picture);
    return { type: "labels", ...found, milliseconds: performance.now() - started };
  },
  encode: async ({ pixels }) => ({ type: "latents", latents: Array.from(await encode(pixels)) }),
};

onmessage = async ({ data }) => {
  try {
    postMessage({ number: data.number, ...(await answers[data.type](data)) });
  } catch (error) {
    postMessage({ type: "error", of: data.type, number: data.number, text: error.message });
  }
};
