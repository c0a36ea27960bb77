// Pictures: from files to pixels, on canvases, and to files.

const THUMBNAIL_SIDE = 144; // pixels; twice the displayed size, for high-resolution screens

/** Shows pixels, RGBA, on a canvas of their size. */
export function show(canvas, pixels, [height, width]) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** A small copy of the square in the middle of a canvas or bitmap, as a data URL. */
export function thumbnailOf(image) {
  const side = Math.min(image.width, image.height);
  const small = Object.assign(document.createElement("canvas"), { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE });
  const from = [(image.width - side) / 2, (image.height - side) / 2, side, side];
  small.getContext("2d").drawImage(image, ...from, 0, 0, THUMBNAIL_SIDE, THUMBNAIL_SIDE);
  return small.toDataURL("image/jpeg", 0.85);
}

export async function bitmapOf(file, options) {
  try { return await createImageBitmap(file, options); }
  catch { throw new Error(`${file.name} is not a picture that this browser can read. Try a PNG or JPEG.`); }
}

/** A picture's pixels, RGBA, at a size. */
export function pixelsOf(bitmap, [rows, columns]) {
  const context = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, columns, rows);
  return context.getImageData(0, 0, columns, rows).data;
}

export function saveCanvas(canvas, name) {
  canvas.toBlob((blob) => download(blob, name), "image/png");
}

export function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
