// What this page knows of the laboratory: the last state of each part, as the server told it.

const MOST_LINES = 2000;
const AXIS = /^(x|axis|scan|t|time|times|f|freq|frequency|frequencies|detuning|phase|delay|points?)$|[_.](x|axis|scan)$/i;

/** Facts of the laboratory. Changed by `take` alone. */
export class Lab {
  constructor() {
    this.title = "";
    this.hello = null;
    this.instance = undefined; // start of the server to which the numbers of datasets belong
    this.datasets = new Map();
    this.byName = new Map();
    this.log = [];
    this.logLeftOut = 0;
    this.source = undefined;
    this.devices = null;
    this.axes = null;
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
    this.axes = null;
    if (isWhole) {
      this.instance = this.hello?.instance;
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
    if (!row.shape || AXIS.test(row.name.slice(group.length))) return "";
    const isAxis = ({ name, shape }) => shape[0] === row.shape[0] && name !== row.name && name.startsWith(group) && AXIS.test(name.slice(group.length));
    return this.namedLikeAxes().find(isAxis)?.name ?? "";
  }

  /** The few lines whose names end like that of an axis: each dataset is compared with these alone. */
  namedLikeAxes() {
    this.axes ??= [...this.datasets.values()].filter(({ name, shape }) => shape?.length === 1 && (AXIS.test(name) || AXIS.test(name.replace(/^.*[./]/, ""))));
    return this.axes;
  }
}
