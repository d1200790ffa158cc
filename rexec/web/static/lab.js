// What this page knows of the laboratory: the last state of each part, as the server told it.

const MOST_LINES = 2000;

/** Facts of the laboratory. Changed by `take` alone. */
export class Lab {
  constructor() {
    this.title = "";
    this.hello = null;
    this.datasets = new Map();
    this.byName = new Map();
    this.log = [];
    this.logLeftOut = 0;
    this.source = undefined;
    this.devices = null;
  }

  /** Take a message; return which parts have changed. */
  take(header) {
    const changed = new Set();
    if (header.hello) {
      if (this.hello && this.hello.instance !== header.hello.instance) this.log = [];
      this.hello = header.hello;
      changed.add("hello");
    }
    if ("source" in header) {
      this.source = header.source;
      changed.add("source");
    }
    if (header.datasets) {
      this.takeDatasets(header.datasets);
      changed.add("datasets");
    }
    if (header.log) {
      this.log.push(...header.log.lines);
      this.logLeftOut += header.log.left_out;
      if (this.log.length > MOST_LINES) {
        this.logLeftOut += this.log.length - MOST_LINES;
        this.log.splice(0, this.log.length - MOST_LINES);
      }
      changed.add("log");
    }
    if (header.devices) {
      const { rows, is_whole: isWhole, ...state } = header.devices;
      const present = isWhole ? new Map() : (this.devices?.rows ?? new Map());
      for (const row of rows) present.set(row.name, row);
      this.devices = { ...state, rows: present };
      changed.add("devices");
    }
    return changed;
  }

  takeDatasets({ rows, gone, is_whole: isWhole }) {
    if (isWhole) {
      this.datasets.clear();
      this.byName.clear();
    }
    for (const number of gone) {
      const row = this.datasets.get(number);
      this.datasets.delete(number);
      if (row && this.byName.get(row.name) === row) this.byName.delete(row.name);
    }
    for (const [number, name, kind, text, unit, persist, changed, shape] of rows) {
      const row = { number, name, kind, text, unit, persist, changed, shape };
      this.datasets.set(number, row);
      this.byName.set(name, row);
    }
  }

  /** Datasets that may be the axis of one with this shape: lines of the same length. */
  axesFor(shape) {
    if (!shape) return [];
    return [...this.datasets.values()]
      .filter((each) => each.shape?.length === 1 && each.shape[0] === shape[0])
      .map((each) => each.name);
  }

  /** The axis that names suggest: in the same group, called x, scan, frequency, … */
  likelyAxis(row) {
    const group = row.name.replace(/[^./]*$/, "");
    const names = this.axesFor(row.shape).filter((each) => each !== row.name && each.startsWith(group));
    const pattern = /^(x|axis|scan|t|time|times|f|freq|frequency|frequencies|detuning|phase|delay|points?)$|[_.](x|axis|scan)$/i;
    if (pattern.test(row.name.slice(group.length))) return "";
    return names.find((each) => pattern.test(each.slice(group.length))) ?? "";
  }
}
