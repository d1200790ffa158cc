// What is known of one plot: the facts of its last part, and its numbers.

import { LineData } from "./line_data.js";

export class PlotData {
  constructor() {
    this.facts = null;
    this.data = null;
    this.image = null;
    this.histogram = null;
    this.had = null;
    this.skipped = 0;
  }

  /** Take a part of a message of the server. */
  take(part, arrays) {
    this.had = part.had ?? this.had;
    if (part.op === "gone") {
      this.facts = { kind: "gone" };
      return;
    }
    if (this.facts && this.facts.kind !== part.kind) this.data = this.image = this.histogram = null;
    this.facts = part;
    this.skipped += part.skipped ?? 0;
    if (part.op === "points") {
      this.data ??= new LineData();
      this.data.take(part, arrays);
    } else if (part.op === "image") this.takeImage(part, arrays[0]);
    else if (part.op === "histogram") this.histogram = arrays;
  }

  takeImage(part, array) {
    const [rows, columns] = array.shape;
    const isPart = this.image && !part.is_whole && part.step === 1 && this.image.columns === columns;
    if (!isPart) {
      this.image = { data: array, rows, columns };
      return;
    }
    const needed = part.rows * columns;
    if (this.image.data.length < needed) {
      const larger = new this.image.data.constructor(needed);
      larger.set(this.image.data);
      this.image.data = larger;
    } else if (this.image.data.buffer.byteLength > 8 * needed + 4096) {
      this.image.data = this.image.data.slice();
    }
    this.image.data.set(array, part.from * columns);
    this.image.rows = part.rows;
  }

  /** The plot as it is now: what is taken later does not change it. */
  copy() {
    const copied = Object.assign(new PlotData(), this);
    copied.data = this.data && this.data.copy();
    copied.image = this.image && { ...this.image, data: this.image.data.slice() };
    return copied;
  }

  /** One sentence for those who do not see the plot. */
  summary(name) {
    const { facts } = this;
    if (!facts) return `${name}: waiting for data`;
    if (facts.kind === "gone") return `${name} was deleted`;
    if (this.image) return `Image of ${name}: ${this.image.rows} by ${this.image.columns}`;
    if (this.histogram) return `Histogram of ${name}: ${facts.rows} values`;
    if (!this.data?.columns.length) return `${name}: no points yet`;
    const values = this.data.values(0);
    const last = values[values.length - 1];
    return `Plot of ${name}: ${this.data.rows} points, the last is ${Number.isFinite(last) ? last.toPrecision(6) : "not there yet"} ${facts.unit ?? ""}`.trimEnd();
  }
}
