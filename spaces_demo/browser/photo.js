// A photograph as a canvas: which part of it is painted, and what the page says about it. The rules are those of photos.py of
// spade_hf.demo, whose limits are in `config.rules`.

import { formatOf, percent } from "./masks.js";

const QUALITY = 0.85; // of the JPEG that the browser keeps to compare with

/** The largest part in the middle of a picture that has a shape's proportions. */
export function middle([height, width], [rows, columns]) {
  const part = {
    width: Math.min(width, Math.max(1, Math.round((height * columns) / rows))),
    height: Math.min(height, Math.max(1, Math.round((width * rows) / columns))),
  };
  return { left: Math.floor((width - part.width) / 2), top: Math.floor((height - part.height) / 2), ...part };
}

/**
 * The part of a photograph that becomes the canvas.
 *
 * @param {ImageBitmap} bitmap Upright.
 * @returns {{number: number, picture: object, image: string, isCut: boolean}} The number of its format; the part as a picture
 *     {pixels, width, height} for the segmenter, and as an address, at the canvas' size; whether one would miss what was cut off.
 */
export function framed(bitmap, { formats, rules }) {
  const number = formats.indexOf(formatOf(bitmap.width, bitmap.height, formats));
  const [rows, columns] = formats[number].canvas_size;
  const part = middle([bitmap.height, bitmap.width], [rows, columns]);
  // a large photograph is first reduced as the other page reduces an upload
  const scale = Math.min(1, rules.photo_side / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [part.width, part.height].map((side) => Math.max(1, Math.round(scale * side)));
  const context = drawn(bitmap, part, width, height).getContext("2d");
  return {
    number,
    picture: { pixels: context.getImageData(0, 0, width, height).data, width, height },
    image: drawn(bitmap, part, columns, rows).toDataURL("image/jpeg", QUALITY),
    isCut: part.width * part.height < (1 - rules.near_ratio) * bitmap.width * bitmap.height,
  };
}

function drawn(bitmap, { left, top, width, height }, columns, rows) {
  const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, width, height, 0, 0, columns, rows);
  return canvas;
}

/** What became of a photograph, and how sure its labels are; `unsure` is the mean probability below which the page warns. */
export function noteAbout({ confidence, isCut, isStyle }, unsure) {
  const [cut, sure] = [isCut ? " Its edges were cut off to fit the canvas." : "", percent(confidence)];
  const note = `Your photo is the canvas now${isStyle ? ", and its light is the style." : "."}${cut}`;
  if (confidence >= unsure) return `${note} The model is ${sure} sure of its labels on average.`;
  return `${note} The model is only ${sure} sure of its labels on average: the photo may show things that it does not know. Paint over `
    + "what is wrong.";
}
