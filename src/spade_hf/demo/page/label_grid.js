// An image of label numbers, never of colors: no blended edges, and undo restores a copy.
// Its text is the runs of equal labels in reading order: "width height count label count label ...".
// `photo`, if it is there, is the address of the photograph that the labels were told of; another frame keeps it.
// Positions are {x, y} in pixels from the top left corner, and can be outside.
export class LabelGrid {
  constructor(width, height, labels = new Uint16Array(width * height)) {
    Object.assign(this, { width, height, labels });
  }

  /** The grid of a text; an Error if the text is not valid, has labels from `labelCount` on, or too many pixels. */
  static decode(text, labelCount, maxPixels = Infinity) {
    if (/[^0-9 ]|^ | $| {2}/.test(text)) throw new Error("not a text of runs");
    const [width, height, ...runs] = text.split(" ").map(Number);
    if (!(width * height > 0)) throw new Error("not a grid");
    if (width * height > maxPixels) throw new Error(`${width}x${height} pixels; allowed are 1 to ${maxPixels} in all`);
    const grid = new LabelGrid(width, height);
    let at = 0;
    for (let i = 0; i < runs.length; i += 2) {
      if (!(runs[i + 1] >= 0 && runs[i + 1] < labelCount)) throw new Error("there is no such label");
      grid.labels.fill(runs[i + 1], at, (at += runs[i]));
    }
    if (at !== grid.labels.length) throw new Error("not of this size");
    return grid;
  }

  /** One label above, another one below the middle. */
  static withHorizon(width, height, above, below) {
    const grid = new LabelGrid(width, height);
    grid.labels.fill(above).fill(below, width * Math.ceil(height / 2));
    return grid;
  }

  encode() {
    const { labels } = this, numbers = [this.width, this.height];
    for (let first = 0, i = 1; i <= labels.length; i++) {
      if (i === labels.length || labels[i] !== labels[first]) { numbers.push(i - first, labels[first]); first = i; }
    }
    return numbers.join(" ");
  }

  copy() {
    return new LabelGrid(this.width, this.height, this.labels.slice());
  }

  /** The grid at another size: the label under each new pixel's center. */
  resized(width, height) {
    const grid = new LabelGrid(width, height);
    for (let row = 0, i = 0; row < height; row++) {
      const from = Math.floor(((row + 0.5) * this.height) / height) * this.width;
      for (let column = 0; column < width; column++, i++) {
        grid.labels[i] = this.labels[from + Math.floor(((column + 0.5) * this.width) / width)];
      }
    }
    return grid;
  }

  /** The grid in another frame around the same center: cut off, or continued by the labels at its border. */
  reframed(width, height) {
    const grid = Object.assign(new LabelGrid(width, height), { photo: this.photo });
    const left = Math.floor((width - this.width) / 2), top = Math.floor((height - this.height) / 2);
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) grid.labels[i] = this.at({ x: column - left, y: row - top });
    }
    return grid;
  }

  /** The index of the pixel at a position; outside, that of the nearest pixel. */
  index({ x, y }) {
    const column = Math.min(Math.max(Math.floor(x), 0), this.width - 1);
    return Math.min(Math.max(Math.floor(y), 0), this.height - 1) * this.width + column;
  }

  at(place) {
    return this.labels[this.index(place)];
  }

  /** Draws a line with round ends. `paint` is a label, or a grid of this size to copy labels from. */
  line(from, to, radius, paint) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, radius / 3)));
    for (let step = 0; step <= steps; step++) {
      this.disc(from.x + ((to.x - from.x) * step) / steps, from.y + ((to.y - from.y) * step) / steps, radius, paint);
    }
  }

  disc(x, y, radius, paint) {
    const top = Math.max(0, Math.ceil(y - radius)), bottom = Math.min(this.height - 1, Math.floor(y + radius));
    for (let row = top; row <= bottom; row++) {
      const half = Math.sqrt(radius * radius - (row - y) ** 2);
      this.span(row, Math.round(x - half), Math.round(x + half), paint);
    }
  }

  /** The pixels of a row from `left` on, before `right`. */
  span(row, left, right, paint) {
    const from = row * this.width + Math.max(0, left), to = row * this.width + Math.min(this.width, right);
    if (from >= to) return;
    if (paint instanceof LabelGrid) this.labels.set(paint.labels.subarray(from, to), from);
    else this.labels.fill(paint, from, to);
  }

  /** The connected area of one label around a position. */
  fill(place, label) {
    const { labels, width } = this;
    const old = this.at(place);
    if (old === label) return;
    const waiting = [this.index(place)];
    while (waiting.length) {
      const i = waiting.pop();
      if (labels[i] !== old) continue;
      labels[i] = label;
      const column = i % width;
      if (column > 0) waiting.push(i - 1);
      if (column < width - 1) waiting.push(i + 1);
      if (i >= width) waiting.push(i - width);
      if (i + width < labels.length) waiting.push(i + width);
    }
  }

  /** Replaces one label by another, everywhere. */
  replace(old, label) {
    this.labels.forEach((one, i) => { if (one === old) this.labels[i] = label; });
  }

  /** The inside of a polygon of positions: pixels with an odd number of its sides to the left of their center. */
  polygon(places, label) {
    for (let row = 0; row < this.height; row++) {
      const crossings = [];
      places.forEach((from, i) => {
        const to = places[(i + 1) % places.length];
        if (from.y <= row + 0.5 !== to.y <= row + 0.5) {
          crossings.push(from.x + ((row + 0.5 - from.y) / (to.y - from.y)) * (to.x - from.x));
        }
      });
      crossings.sort((a, b) => a - b);
      for (let i = 0; i < crossings.length; i += 2) {
        this.span(row, Math.ceil(crossings[i] - 0.5), Math.ceil(crossings[i + 1] - 0.5), label);
      }
    }
  }
}
