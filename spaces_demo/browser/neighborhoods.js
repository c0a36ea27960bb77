// Distinct label neighborhoods of a mask, the inputs of a generator with sparse modulation. The same as
// neighborhoods.py of spade_hf.export.
//
// Legend: H W height and width, K label codes, T taps of a kernel, A distinct patches, B distinct neighborhoods.

/**
 * The inputs of a sparse file.
 *
 * @param {Int32Array} codes (H * W), in 0..K - 1, row by row.
 * @param {number} height H.
 * @param {number} width W.
 * @param {{num_codes: number, kernel_size: number, divisors: number[]}} reading As the file's metadata say.
 * @returns {Object<string, {data: Int32Array, dims: number[]}>} For each divisor d: patches_d (A, T), neighborhoods_d
 *     (B, T), positions_d (H / d, W / d).
 */
export function neighborhoodInputs(codes, height, width, reading) {
  const inputs = {};
  for (const divisor of reading.divisors) {
    const [h, w] = [height / divisor, width / divisor];
    const found = distinctNeighborhoods(reduced(codes, height, width, divisor), h, w, reading.num_codes, reading.kernel_size);
    for (const [name, array] of Object.entries(found)) inputs[`${name}_${divisor}`] = array;
  }
  return inputs;
}

/** The codes at the pixels (H / d * W / d) that a layer reads: the first of every d-th row and column. */
export function reduced(codes, height, width, divisor) {
  const w = width / divisor;
  return Int32Array.from({ length: (height / divisor) * w }, (_, place) => {
    const row = Math.floor(place / w);
    return codes[row * divisor * width + (place - row * w) * divisor];
  });
}

/** The neighborhoods of one resolution. The code K means outside the image; a patch with its center outside has only K. */
export function distinctNeighborhoods(codes, height, width, numCodes, kernelSize) {
  const radius = kernelSize >> 1;
  const padded = pad(codes, height, width, 2 * radius, numCodes);
  const patches = distinctWindows(padded, kernelSize, padded.height - 2 * radius, padded.width - 2 * radius, radius);
  if (radius) patches.windows.fill(numCodes, 0, kernelSize * kernelSize); // of the positions outside, which come first
  const ids = { values: patches.ids, height: height + 2 * radius, width: width + 2 * radius };
  const neighborhoods = distinctWindows(ids, kernelSize, height, width, 0);
  const taps = kernelSize * kernelSize;
  return {
    patches: { data: patches.windows, dims: [patches.windows.length / taps, taps] },
    neighborhoods: { data: neighborhoods.windows, dims: [neighborhoods.windows.length / taps, taps] },
    positions: { data: neighborhoods.ids, dims: [height, width] },
  };
}

function pad(codes, height, width, border, value) {
  const padded = { height: height + 2 * border, width: width + 2 * border };
  padded.values = new Int32Array(padded.height * padded.width).fill(value);
  for (let row = 0; row < height; row++) {
    const start = (row + border) * padded.width + border;
    padded.values.set(codes.subarray(row * width, (row + 1) * width), start);
  }
  return padded;
}

/**
 * Distinct windows of size x size: which one each place has, and their values.
 *
 * Places within `border` of the edge get the window at the very first place.
 */
function distinctWindows({ values, width }, size, outHeight, outWidth, border) {
  const height = values.length / width;
  const across = numberTuples(values, width, height, outWidth, size, 1);
  const ids = numberTuples(across, outWidth, outHeight, outWidth, size, outWidth);
  for (let row = 0; row < outHeight && border; row++) {
    const isEdge = row < border || row >= outHeight - border;
    const line = ids.subarray(row * outWidth, (row + 1) * outWidth);
    if (isEdge) line.fill(ids[0]);
    line.fill(ids[0], 0, border).fill(ids[0], outWidth - border);
  }
  return { ids, windows: listWindows(values, width, ids, outWidth, size) };
}

/** The values of each distinct window; windows that no position has are left out, and `ids` are renumbered. */
function listWindows(values, width, ids, outWidth, size) {
  const numbers = new Map();
  const windows = [];
  let last = -1;
  let number = 0;
  for (let place = 0; place < ids.length; place++) {
    if (ids[place] !== last) {
      last = ids[place];
      number = numbers.get(last);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(last, number);
        const first = Math.floor(place / outWidth) * width + (place % outWidth);
        for (let row = 0; row < size; row++) {
          for (let column = 0; column < size; column++) windows.push(values[first + row * width + column]);
        }
      }
    }
    ids[place] = number;
  }
  return Int32Array.from(windows);
}

/** A number for each tuple of `size` values, `step` apart: equal tuples have equal numbers. */
function numberTuples(values, width, outHeight, outWidth, size, step) {
  const base = values.reduce((most, value) => Math.max(most, value), 0) + 1;
  const keys = new Float64Array(outHeight * outWidth);
  let numKeys = 1;
  for (let tap = 0; tap < size; tap++) {
    if (numKeys * base > Number.MAX_SAFE_INTEGER) {
      const numbers = number(keys);
      keys.set(numbers);
      numKeys = numbers.reduce((most, value) => Math.max(most, value), 0) + 1;
    }
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        const place = row * outWidth + column;
        keys[place] = keys[place] * base + values[row * width + column + tap * step];
      }
    }
    numKeys *= base;
  }
  return number(keys);
}

/** Numbers 0, 1 ... for keys, in the order in which they occur. */
function number(keys) {
  const numbers = new Map();
  const ids = new Int32Array(keys.length);
  let last = -1;
  let id = 0;
  for (let place = 0; place < keys.length; place++) {
    if (keys[place] !== last) {
      last = keys[place];
      id = numbers.get(last);
      if (id === undefined) {
        id = numbers.size;
        numbers.set(last, id);
      }
    }
    ids[place] = id;
  }
  return ids;
}
