// Masks: labels from a picture's pixels, and from labels the pixels of a file and the codes of the model. Pictures are read
// by the rules of uploads.py of spade_hf.demo, whose limits are in `config.rules`.
//
// A picture is {pixels, width, height}, its pixels RGBA row by row. A label is its number in `config.labels`.

import { LabelGrid } from "./label_grid.js";

const PNG = [137, 80, 78, 71, 13, 10, 26, 10];

/** The format of a picture or canvas: the one with the nearest ratio. */
export function formatOf(width, height, formats) {
  const distance = ({ size: [rows, columns] }) => Math.abs(Math.log((columns / rows) * (height / width)));
  return formats.reduce((best, format) => (distance(format) < distance(best) ? format : best));
}

/** Whether a file's first 26 bytes are those of a gray PNG, whose values are label ids; an Error if they cannot be read. */
export function holdsIds(bytes) {
  const [bits, kind] = [bytes[24], bytes[25]];
  if (PNG.some((value, i) => bytes[i] !== value) || kind !== 0 || bits === 1) return false; // 1 bit: black and white
  if (bits === 16) throw new Error("This gray picture has 16 bits; browsers read 8 of them. Save it with 8 bits.");
  return true;
}

/**
 * The mask in a picture, resized to the canvas of the nearest format.
 *
 * A color that is no label's becomes the nearest label's; transparent pixels get the label `canvas.blank`.
 *
 * @param {{pixels: Uint8ClampedArray, width: number, height: number}} picture
 * @param {boolean} hasIds From `holdsIds`.
 * @returns {{grid: LabelGrid, notes: string[]}} The mask, and changes that the visitor should know.
 */
export function readMask(picture, hasIds, config) {
  const { width, height } = picture;
  const [rows, columns] = formatOf(width, height, config.formats).canvas_size;
  const isStretched = Math.abs((width * rows) / (height * columns) - 1) > config.rules.near_ratio;
  const notes = isStretched ? [`stretched from ${width}x${height} to the canvas' shape`] : [];
  const words = sampled(picture, columns, rows);
  const { labels, said } = hasIds ? readIds(words, config) : readColors(words, config);
  return { grid: new LabelGrid(columns, rows, labels), notes: [...notes, ...said] };
}

/** The pixel under the center of each new one, as one word of four bytes. */
function sampled({ pixels, width, height }, columns, rows) {
  const words = new Uint32Array(pixels.buffer, pixels.byteOffset, width * height);
  const result = new Uint32Array(rows * columns);
  for (let row = 0, i = 0; row < rows; row++) {
    const from = Math.floor(((row + 0.5) * height) / rows) * width;
    for (let column = 0; column < columns; column++, i++) {
      result[i] = words[from + Math.floor(((column + 0.5) * width) / columns)];
    }
  }
  return result;
}

function bytesOf(word) {
  return new Uint8Array(Uint32Array.of(word).buffer);
}

function readIds(words, { label_ids }) {
  const numbers = new Map(); // word -> label
  const strangers = [];
  for (const word of new Set(words)) {
    const [id, , , alpha] = bytesOf(word);
    if (alpha < 255) throw new Error("This gray picture has transparent pixels, whose label ids are lost. Save it without.");
    numbers.set(word, label_ids.indexOf(id));
    if (!label_ids.includes(id)) strangers.push(id);
  }
  if (strangers.length) {
    const some = strangers.sort((a, b) => a - b).slice(0, 10).join(", ");
    throw new Error(`This gray picture has the label ids ${some}; this model knows ${label_ids.join(", ")}.`);
  }
  return { labels: Uint16Array.from(words, (word) => numbers.get(word)), said: [] };
}

function readColors(words, { labels, canvas, rules, segmenter }) {
  const meanings = new Map(); // word -> its label
  const counts = { changed: 0, far: 0, transparent: 0 };
  const read = Uint16Array.from(words, (word) => {
    if (!meanings.has(word)) meanings.set(word, meaningOf(bytesOf(word), labels, canvas.blank, rules.near_color));
    const { label, kinds } = meanings.get(word);
    for (const kind of kinds) counts[kind]++;
    return label;
  });
  const share = (kind) => counts[kind] / words.length;
  if (share("far") > rules.photo_share) {
    const other = segmenter ? "To paint a photo, choose “Your photo”." : "To use a picture's light, choose “Your picture”.";
    throw new Error(
      `${percent(share("far"))} of this picture has no label's color, so it is not a mask. A mask has the labels' colors, or is ` +
        `a gray PNG of label ids. ${other}`,
    );
  }
  const said = [];
  if (counts.changed) said.push(`${percent(share("changed"))} of the pixels had no label's color and took the nearest one`);
  if (counts.transparent) said.push(`${percent(share("transparent"))} was transparent and became ${labels[canvas.blank].name}`);
  return { labels: read, said };
}

function meaningOf([red, green, blue, alpha], labels, blank, nearColor) {
  if (alpha < 128) return { label: blank, kinds: ["transparent"] };
  const distances = labels.map(({ color: [r, g, b] }) => (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2);
  const least = Math.min(...distances);
  return { label: distances.indexOf(least), kinds: [...(least > 0 ? ["changed"] : []), ...(least > nearColor ** 2 ? ["far"] : [])] };
}

/** A share in [0, 1] as text; a small one is not rounded to 0. */
export function percent(share) {
  return share < 0.01 ? "less than 1 %" : `${Math.round(100 * share)} %`;
}

/** The pixels, RGBA, of labels in their colors; those of the label `unpainted` are transparent. */
export function colored(labels, palette, unpainted) {
  const pixels = new Uint8ClampedArray(4 * labels.length);
  labels.forEach((label, i) => pixels.set([...palette[label].color, label === unpainted ? 0 : 255], 4 * i));
  return pixels;
}

/** A grid of which all is painted: what is not takes the labels of `other`, if it has this size, else the label `stand_in`. */
export function filled(grid, other, { canvas, stand_in }) {
  const { width, height, labels } = grid;
  const isUsable = other !== null && other.width === width && other.height === height;
  const fill = (label, i) => (label !== canvas.unpainted ? label : isUsable ? other.labels[i] : stand_in);
  return new LabelGrid(width, height, labels.map(fill));
}

/**
 * A code for each pixel: its label, and `count` more beside another label, where a model with edges has one.
 *
 * All pixels of one label count as one instance.
 */
export function codesOf({ labels, width }, count, hasEdges) {
  const codes = Int32Array.from(labels);
  const mark = (i, j) => { if (labels[i] !== labels[j]) for (const k of [i, j]) codes[k] = labels[k] + count; };
  for (let i = 0; i < labels.length && hasEdges; i++) {
    if (i % width) mark(i, i - 1);
    if (i >= width) mark(i, i - width);
  }
  return codes;
}
