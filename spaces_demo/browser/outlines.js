// Natural label maps from painted ones: the sampler of refinement.py and the parts of parts.py of spade_hf.pipelines.
//
// A label map is an array (H * W) in 0..L, row by row; L is "not painted". Maps of the network are Float32Arrays (L * H * W).
//
// Legend: L labels, H W height and width, P parts.

const MIN_AREA = 64; // pixels of a map of 256x256; smaller parts may change as they like
// Thin parts, such as paths and rivers, stay in one piece: those below a mean width in pixels and from an elongation on,
// length over width, where a square has 4, a disc 5, a bar of 1x4 6.25. Wider ones have to be longer: a river, but not a cloud.
const THIN = [[12, 6], [24, 12]];
const KEPT_SHARE = 0.65; // of a part's pixels keep its label
const SIDE = 256; // of the map for which the sizes are given

/**
 * A natural label map of a painted one.
 *
 * @param {(noisyMap: Float32Array, logSnr: number) => Promise<Float32Array | null>} run The network's logits (L * H * W) for the
 *     label map; null to stop.
 * @param {Int32Array} labelMap (H * W) in 0..L.
 * @param {Float32Array} noise (L * H * W), standard normal.
 * @param {{width: number, strength: number, steps: number, min_log_snr: number, max_log_snr: number}} options `strength` in
 *     [0, 1] is how loosely painted pixels are followed, `steps` the number of evaluations.
 * @returns {Promise<Int32Array | null>} (H * W) in 0..L - 1; null if `run` stopped.
 */
export async function refine(run, labelMap, noise, options) {
  const numLabels = noise.length / labelMap.length;
  const hasHoles = labelMap.includes(numLabels);
  if (options.strength === 0 && !hasHoles) return Int32Array.from(labelMap);
  const { start, levels } = noiseLevels(hasHoles, options);
  const isAllowed = allowedLabels(labelMap, numLabels);
  let noisyMap = firstMap(labelMap, noise, levels[0]);
  let logits = null;
  for (let step = 0; step < options.steps; step++) {
    if (step) { // to this level, from the one before
      const expected = expectedMap(logits, numLabels);
      if (levels[step - 1] < start) hold(expected, labelMap);
      noisyMap = ddimStep(noisyMap, expected, levels[step - 1], levels[step]);
    }
    logits = await run(noisyMap, levels[step]);
    if (logits === null) return null;
    logits = masked(logits, isAllowed);
  }
  const natural = mostLikely(logits, numLabels);
  if (options.strength === 0) return natural.map((label, i) => (labelMap[i] < numLabels ? labelMap[i] : label));
  return keepParts(labelMap, natural, logits, options.width);
}

/**
 * A natural map at the size of the painted one, from one that was drawn at a fraction of it (the library's `reduction`).
 *
 * @param {Int32Array} natural (H / d * W / d), in 0..L - 1.
 * @param {Int32Array} painted (H * W), in 0..L.
 * @param {{width: number, reduction: number, strength: number, numLabels: number}} options `width` is W, `reduction` d. At a
 *     strength of 0, what is painted stays.
 */
export function enlarged(natural, painted, { width, reduction, strength, numLabels }) {
  return painted.map((label, i) => {
    if (strength === 0 && label < numLabels) return label;
    const [row, column] = [Math.floor(i / width / reduction), Math.floor((i % width) / reduction)];
    return natural[row * (width / reduction) + column];
  });
}

/**
 * The logarithms of the signal-to-noise ratio, rising, one per step; the last is half a step before the end.
 *
 * Below `start`, painted pixels are held. A map with pixels that are not painted begins at nothing but noise.
 */
export function noiseLevels(hasHoles, { strength, steps, min_log_snr: lowest, max_log_snr: highest }) {
  const start = Math.fround(highest + (lowest - highest) * strength);
  const first = hasHoles ? lowest : start;
  const levels = Float32Array.from({ length: steps }, (_, step) => first + ((highest - first) * step) / (steps - 0.5));
  return { start, levels };
}

/** Alpha and sigma of a variance-preserving process. */
export function signalAndNoise(logSnr) {
  return [Math.sqrt(1 / (1 + Math.exp(-logSnr))), Math.sqrt(1 / (1 + Math.exp(logSnr)))];
}

/** Which labels may appear: without pixels that are not painted, only those of the painted map. */
export function allowedLabels(labelMap, numLabels) {
  const painted = new Set(labelMap);
  return Array.from({ length: numLabels }, (_, label) => painted.has(numLabels) || painted.has(label));
}

/** The painted map as one-hot in {-1, 1}, 0 where it is not painted, with noise. */
export function firstMap(labelMap, noise, logSnr) {
  const [alpha, sigma] = signalAndNoise(logSnr);
  const area = labelMap.length;
  const numLabels = noise.length / area;
  const noisyMap = new Float32Array(noise.length);
  for (let label = 0, at = 0; label < numLabels; label++) {
    for (let i = 0; i < area; i++, at++) {
      const sign = labelMap[i] === numLabels ? 0 : labelMap[i] === label ? 1 : -1;
      noisyMap[at] = alpha * sign + sigma * noise[at];
    }
  }
  return noisyMap;
}

/** Logits with -Infinity at labels that may not appear. */
export function masked(logits, isAllowed) {
  const area = logits.length / isAllowed.length;
  const result = logits.slice();
  isAllowed.forEach((allowed, label) => { if (!allowed) result.fill(-Infinity, label * area, (label + 1) * area); });
  return result;
}

/** The expected one-hot map in [-1, 1] of logits. */
export function expectedMap(logits, numLabels) {
  const area = logits.length / numLabels;
  const expected = new Float32Array(logits.length);
  const most = new Float32Array(area).fill(-Infinity);
  const sums = new Float32Array(area);
  for (let label = 0, at = 0; label < numLabels; label++) { // label by label, which is the order in memory
    for (let i = 0; i < area; i++, at++) if (logits[at] > most[i]) most[i] = logits[at];
  }
  for (let label = 0, at = 0; label < numLabels; label++) {
    for (let i = 0; i < area; i++, at++) if (logits[at] > -Infinity) sums[i] += expected[at] = Math.exp(logits[at] - most[i]);
  }
  for (let label = 0, at = 0; label < numLabels; label++) {
    for (let i = 0; i < area; i++, at++) expected[at] = (2 * expected[at]) / sums[i] - 1;
  }
  return expected;
}

/** Writes the painted pixels into an expected one-hot map. */
export function hold(expected, labelMap) {
  const area = labelMap.length;
  const numLabels = expected.length / area;
  for (let i = 0; i < area; i++) {
    if (labelMap[i] === numLabels) continue;
    for (let label = 0; label < numLabels; label++) expected[label * area + i] = label === labelMap[i] ? 1 : -1;
  }
}

/** The noisy map at the next level: the expected one, with the noise that this one holds if the map is as expected. */
export function ddimStep(noisyMap, expected, logSnr, nextLogSnr) {
  const [alpha, sigma] = signalAndNoise(logSnr);
  const [nextAlpha, nextSigma] = signalAndNoise(nextLogSnr);
  const next = new Float32Array(noisyMap.length);
  for (let i = 0; i < next.length; i++) {
    next[i] = nextAlpha * expected[i] + (nextSigma * (noisyMap[i] - alpha * expected[i])) / sigma;
  }
  return next;
}

/** The label of the highest logit at each pixel. */
export function mostLikely(logits, numLabels) {
  const area = logits.length / numLabels;
  const labels = new Int32Array(area);
  for (let i = 0; i < area; i++) {
    for (let label = 1; label < numLabels; label++) {
      if (logits[label * area + i] > logits[labels[i] * area + i]) labels[i] = label;
    }
  }
  return labels;
}

/**
 * The 4-connected parts of a label map, numbered by their first pixels.
 *
 * @returns {{numbers: Int32Array, labels: number[], areas: number[], widths: number[]}} The part of each pixel; of each part its
 *     label, its area, and its mean width, which is twice the area over the perimeter. The image's edge is no border.
 */
export function findParts(labelMap, width) {
  const numbers = numberParts(labelMap, width);
  const [labels, areas, sides] = [[], [], []];
  numbers.forEach((number, i) => {
    if (number === areas.length) {
      labels.push(labelMap[i]);
      areas.push(0);
      sides.push(0);
    }
    areas[number]++;
    for (const other of [i % width ? i - 1 : i, i < width ? i : i - width]) {
      if (numbers[other] === number) continue;
      sides[number]++;
      sides[numbers[other]]++;
    }
  });
  return { numbers, labels, areas, widths: areas.map((area, number) => (2 * area) / Math.max(sides[number], 1)) };
}

/** Gives large painted parts their label back where a natural map has lost too much of it. `scores` are (L * H * W). */
export function keepParts(painted, natural, scores, width) {
  const kept = Int32Array.from(natural);
  const numLabels = scores.length / painted.length;
  const { numbers, labels, areas, widths } = findParts(painted, width);
  const scale = Math.sqrt(painted.length) / SIDE;
  const pixels = pixelsOf(numbers, areas);
  labels.forEach((label, number) => {
    if (label === numLabels || areas[number] < MIN_AREA * scale ** 2) return;
    const inside = pixels[number];
    const missing = Math.ceil(KEPT_SHARE * areas[number]) - inside.filter((i) => kept[i] === label).length;
    if (missing > 0) for (const i of best(inside, missing, label, kept, scores)) kept[i] = label;
    const isThin = THIN.some(([limit, elongation]) =>
      widths[number] < limit * scale && areas[number] / widths[number] >= elongation * widths[number]);
    if (isThin && numPieces(kept, label, inside, width) > 1) for (const i of inside) kept[i] = label;
  });
  return kept;
}

/** The pixels of each part, in order. */
function pixelsOf(numbers, areas) {
  const pixels = areas.map((area) => new Int32Array(area));
  const counts = new Int32Array(areas.length);
  numbers.forEach((number, i) => { pixels[number][counts[number]++] = i; });
  return pixels;
}

/** Of some pixels, the `count` that a label suits best and that do not have it. */
function best(pixels, count, label, kept, scores) {
  const area = kept.length;
  const margins = new Float32Array(area); // in single precision, as in Python, so that ties are the same
  const candidates = pixels.filter((i) => kept[i] !== label);
  for (const i of candidates) {
    let others = -Infinity;
    for (let at = i; at < scores.length; at += area) if (at !== label * area + i) others = Math.max(others, scores[at]);
    margins[i] = scores[label * area + i] - others;
  }
  return candidates.sort((one, other) => margins[other] - margins[one] || one - other).subarray(0, count);
}

/** In how many 4-connected pieces of a label some pixels are. */
function numPieces(labelMap, label, pixels, width) {
  const numbers = numberParts(labelMap.map((one) => (one === label ? 1 : 0)), width);
  return new Set(pixels.filter((i) => labelMap[i] === label).map((i) => numbers[i])).size;
}

/** Numbers the 4-connected components of equal values: 0, 1 ... in the order of their first pixels. */
function numberParts(labelMap, width) {
  const numbers = new Int32Array(labelMap.length).fill(-1);
  const stack = new Int32Array(labelMap.length);
  let count = 0;
  for (let first = 0; first < numbers.length; first++) {
    if (numbers[first] >= 0) continue;
    let height = 0; // of the stack
    const add = (i) => { numbers[i] = count; stack[height++] = i; };
    const visit = (i, label) => { if (labelMap[i] === label && numbers[i] < 0) add(i); };
    add(first);
    while (height) {
      const i = stack[--height];
      const column = i % width;
      if (column) visit(i - 1, labelMap[i]);
      if (column < width - 1) visit(i + 1, labelMap[i]);
      if (i >= width) visit(i - width, labelMap[i]);
      if (i + width < numbers.length) visit(i + width, labelMap[i]);
    }
    count++;
  }
  return numbers;
}
