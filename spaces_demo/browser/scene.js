// The visitor's work: a canvas, the last two styles, {name, latents} each, and their blend in [0, 1]. Scenes are the files of
// scene.py of spade_hf.demo.

import { LabelGrid } from "./label_grid.js";
import { randn } from "./random.js";

const FORMAT = "spade_hf scene 1";
const LONGEST_NAME = 60;

/** The text of a scene's file. */
export function writeScene(grid, styles, blend, { label_names, latent_dim }) {
  const { width, height } = grid;
  const scene = { format: FORMAT, labels: label_names, size: [height, width], mask: grid.encode(), blend };
  return JSON.stringify(latent_dim === null ? scene : { ...scene, styles });
}

/**
 * Reads a scene, also of another model, if this model has its labels.
 *
 * @returns {{grid: LabelGrid, styles: object[] | null, blend: number}} Styles that do not fit this model are null.
 */
export function readScene(text, { label_names, latent_dim, rules }) {
  const scene = parse(text);
  if (scene?.format !== FORMAT) refuse(`its format is not “${FORMAT}”`);
  if (!Array.isArray(scene.labels) || typeof scene.mask !== "string") refuse("it has no labels or no mask");
  const grid = decode(scene, rules.max_scene_pixels);
  const blend = readBlend(scene.blend);
  const styles = scene.styles === undefined || scene.styles === null || latent_dim === null
    ? null : readStyles(scene.styles, latent_dim);
  const numbers = scene.labels.map((name) => label_names.indexOf(name));
  const strangers = [...new Set(grid.labels)].filter((label) => numbers[label] < 0).sort((a, b) => a - b);
  if (strangers.length) {
    const names = strangers.slice(0, 10).map((label) => scene.labels[label]).join(", ");
    throw new Error(`The scene has labels that this model does not know: ${names}.`);
  }
  grid.labels = grid.labels.map((label) => numbers[label]);
  return { grid, styles, blend };
}

function refuse(why) {
  throw new Error(`This file is not a scene of this page: ${why}.`);
}

function parse(text) {
  try { return JSON.parse(text); } catch { return refuse("it is not JSON"); }
}

function decode({ size, mask, labels }, maxPixels) {
  let grid;
  try { grid = LabelGrid.decode(mask, labels.length, maxPixels); } catch (error) { refuse(`its mask is ${error.message}`); }
  if (!Array.isArray(size) || size.length !== 2 || size[0] !== grid.height || size[1] !== grid.width) {
    refuse("its mask has another size than it says");
  }
  return grid;
}

export function readBlend(blend) {
  if (!(typeof blend === "number" && blend >= 0 && blend <= 1)) refuse("its blend is not a number from 0 to 1");
  return blend;
}

/** The two styles of a file or of the browser's storage; null if they are of another `latentDim`. */
export function readStyles(entries, latentDim) {
  if (!Array.isArray(entries) || entries.length !== 2) refuse("it has not two styles");
  if (!entries.every((style) => typeof style?.name === "string" && Array.isArray(style.latents))) {
    refuse("a style has no name or no latents");
  }
  if (entries.some(({ latents }) => latents.length !== latentDim)) return null;
  const isFinite = (value) => typeof value === "number" && Number.isFinite(Math.fround(value)); // of half the precision
  if (!entries.every(({ latents }) => latents.every(isFinite))) refuse("its styles are not finite numbers");
  return entries.map(({ name, latents }) => ({ name: name.slice(0, LONGEST_NAME), latents }));
}

/** How outlines are drawn, of the browser's storage; null if it is not {strength, seed}. */
export function readOutlines(kept) {
  const isValid = kept?.strength >= 0 && kept.strength <= 1 && Number.isInteger(kept.seed) && kept.seed >= 0;
  return isValid ? { strength: kept.strength, seed: kept.seed } : null;
}

/** The seed in the name of a random style, a text. */
export function seedOf(name) {
  return /^seed (\d+)/.exec(name)?.[1];
}

/** The styles after another pick; the same seed in another vividness replaces the last style. */
export function pick([before, last], style) {
  const isSame = seedOf(style.name) !== undefined && seedOf(style.name) === seedOf(last.name);
  return [isSame ? before : last, style];
}

/** The one of the two styles that a blend is, or null if it is between them. */
export function chosen([before, last], blend) {
  return blend >= 1 ? last : blend <= 0 ? before : null;
}

/** The style between the two; `blend` 0 is the one before. */
export function blended([before, last], blend) {
  const latents = Float32Array.from(last.latents, (value, i) => before.latents[i] + (value - before.latents[i]) * blend);
  const share = (amount) => `${Math.round(100 * amount)} %`;
  const both = `${share(1 - blend)} ${before.name} + ${share(blend)} ${last.name}`;
  return { name: chosen([before, last], blend)?.name ?? both, latents };
}

/** The random style of a seed; `vividness` is a factor on the latents: below 1 it is nearer to the mean style. */
export function styleOfSeed(seed, vividness, latentDim) {
  const name = vividness === 1 ? `seed ${seed}` : `seed ${seed} (vivid ${Math.round(100 * vividness)} %)`;
  return { name, latents: Array.from(randn(seed, latentDim), (value) => vividness * value) };
}
