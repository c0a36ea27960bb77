// Labels of a photograph, the same as the library's: segmentation.py of spade_hf.pipelines.
//
// A picture is {pixels, width, height}, its pixels RGBA row by row. Maps of a network are Float32Arrays (C * H * W).
//
// Legend: C channels, L labels, H W height and width, h w those of a smaller map.

/**
 * A picture at another size, bilinear with antialiasing, as torch resizes it.
 *
 * @returns {Float32Array} RGB in [-1, 1], (3 * rows * columns).
 */
export function resizedPhoto({ pixels, width, height }, [rows, columns]) {
  const [across, down] = [weightsOf(width, columns), weightsOf(height, rows)];
  const wide = new Float32Array(3 * height * columns); // first each row, then each column
  for (let channel = 0, at = 0; channel < 3; channel++) {
    for (let row = 0; row < height; row++) {
      for (const { first, weights } of across) {
        let sum = 0;
        for (let i = 0, from = 4 * (row * width + first) + channel; i < weights.length; i++, from += 4) sum += weights[i] * pixels[from];
        wide[at++] = sum;
      }
    }
  }
  const result = new Float32Array(3 * rows * columns);
  for (let channel = 0, at = 0; channel < 3; channel++) {
    for (const { first, weights } of down) {
      for (let column = 0; column < columns; column++) {
        let sum = 0;
        for (let i = 0, from = (channel * height + first) * columns + column; i < weights.length; i++, from += columns) {
          sum += weights[i] * wide[from];
        }
        result[at++] = sum / 127.5 - 1;
      }
    }
  }
  return result;
}

/** For each new pixel of a line, the first old one that counts, and the weights of those from there on. */
function weightsOf(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1); // of the triangle, in old pixels
  return Array.from({ length: to }, (_, i) => {
    const center = scale * (i + 0.5);
    const first = Math.max(Math.floor(center - reach + 0.5), 0);
    const end = Math.min(Math.floor(center + reach + 0.5), from);
    const weights = Float32Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs(first + k + 0.5 - center) / reach));
    const sum = weights.reduce((all, weight) => all + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * The labels of a photograph, from what the segmenter answers.
 *
 * @param {Float32Array} answer Probabilities (L * h / 4 * w / 4).
 * @param {[number, number]} readSize h and w, at which the photograph was read.
 * @param {[number, number]} size H and W of the labels.
 * @returns {{labels: Uint16Array, confidence: number}} Of each pixel its label in 0..L - 1, (H * W); the mean probability of the
 *     most likely labels.
 */
export function labelsOf(answer, [h, w], [rows, columns]) {
  const small = [h / 4, w / 4];
  const numLabels = answer.length / (small[0] * small[1]);
  // their logarithms are interpolated, up to a number for all labels the logits that the library interpolates
  const logs = answer.map((probability) => Math.log(Math.max(probability, 1e-37)));
  const probabilities = softmax(enlarged(logs, numLabels, small, [h, w]), numLabels);
  const mapOf = (label) => probabilities.subarray(label * h * w, (label + 1) * h * w);
  const best = new Float32Array(rows * columns).fill(-1);
  const labels = new Uint16Array(rows * columns);
  for (let label = 0; label < numLabels; label++) {
    const own = enlarged(mapOf(label), 1, [h, w], [rows, columns]);
    for (let i = 0; i < own.length; i++) {
      if (own[i] <= best[i]) continue;
      best[i] = own[i];
      labels[i] = label;
    }
  }
  let sum = 0;
  for (let i = 0; i < h * w; i++) {
    let most = 0;
    for (let at = i; at < probabilities.length; at += h * w) most = Math.max(most, probabilities[at]);
    sum += most;
  }
  return { labels, confidence: sum / (h * w) };
}

/** Maps (C * h * w) at a size, bilinear. */
function enlarged(maps, count, [h, w], [rows, columns]) {
  const [down, across] = [placesOf(h, rows), placesOf(w, columns)];
  const result = new Float32Array(count * rows * columns);
  const line = new Float32Array(w); // of the small map, between two of its rows
  let at = 0;
  for (let start = 0; start < maps.length; start += h * w) {
    for (let row = 0; row < rows; row++) {
      const [upper, lower, low] = [start + down.first[row] * w, start + down.next[row] * w, down.shares[row]];
      for (let i = 0; i < w; i++) line[i] = maps[upper + i] * (1 - low) + maps[lower + i] * low;
      for (let i = 0; i < columns; i++) {
        const share = across.shares[i];
        result[at++] = line[across.first[i]] * (1 - share) + line[across.next[i]] * share;
      }
    }
  }
  return result;
}

/** For each new pixel of a line, the two old ones that it lies between, and the share of the second. */
function placesOf(from, to) {
  const at = Float64Array.from({ length: to }, (_, i) => Math.max(((i + 0.5) * from) / to - 0.5, 0));
  const first = Int32Array.from(at, Math.floor);
  return { first, next: first.map((place) => Math.min(place + 1, from - 1)), shares: at.map((place, i) => place - first[i]) };
}

/** Probabilities of logits (L * h * w), in their place. */
function softmax(logits, numLabels) {
  const area = logits.length / numLabels;
  for (let i = 0; i < area; i++) {
    let [most, sum] = [-Infinity, 0];
    for (let at = i; at < logits.length; at += area) most = Math.max(most, logits[at]);
    for (let at = i; at < logits.length; at += area) sum += logits[at] = Math.exp(logits[at] - most);
    for (let at = i; at < logits.length; at += area) logits[at] /= sum;
  }
  return logits;
}
