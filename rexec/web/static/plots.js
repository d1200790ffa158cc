// The plots of a view, by dataset: opened and closed by name, at most so many, kept in the address and remembered.

import { remember, remembered } from "./memory.js";
import { CHOICES, Panel } from "./panel.js";

const MOST = 12;

export class Plots {
  /**
   * `calls`: keyOf(name) under which this browser remembers how a dataset is drawn; panel(name): the calls of its panel;
   * likely(name): options where neither the address nor this browser knows any;
   * opened(panel); changed(panel, change) by a person; toggled(name) by a person; button(name) that toggles it, if shown.
   */
  constructor(element, calls) {
    this.element = element;
    this.calls = calls;
    this.panels = new Map();
  }

  /** Open a plot, if it is not open and there are not too many. */
  open(name, options = {}) {
    if (this.panels.has(name) || this.panels.size >= MOST) return;
    const known = remembered(this.calls.keyOf(name)) ?? {};
    const panel = new Panel({ ...this.calls.likely(name), ...valid(known), ...valid(options), name }, {
      ...this.calls.panel(name),
      changed: (all, change) => this.changed(panel, change),
      closed: () => this.toggle(name),
    });
    this.panels.set(name, panel);
    this.element.append(panel.element);
    this.calls.opened(panel);
  }

  /** Open or close a plot, as a person wishes. */
  toggle(name) {
    const panel = this.panels.get(name);
    if (panel) {
      panel.close();
      panel.element.remove();
      this.panels.delete(name);
      this.calls.button(name)?.focus();
    } else {
      this.open(name);
    }
    this.calls.toggled(name);
  }

  changed(panel, change) {
    const { name, kind, axis, log, complex } = panel.options;
    if (!("zoom" in change) || Object.keys(change).length > 1) remember(this.calls.keyOf(name), { kind, axis, log, complex });
    this.calls.changed(panel, change);
  }

  /** Open the plots of an address. */
  openAll(query) {
    for (const [index, name] of query.getAll("show").slice(0, MOST).entries()) this.open(name, optionsOf(query, index));
  }

  /** Write the plots into the query of an address. */
  note(query) {
    for (const [index, [name, { options }]] of [...this.panels].entries()) {
      query.append("show", name);
      if (options.kind !== "auto") query.set(`as.${index}`, options.kind);
      query.set(`x.${index}`, options.axis);
      if (options.log) query.set(`log.${index}`, options.log);
      if (options.complex !== "re_im") query.set(`complex.${index}`, options.complex);
      if (options.zoom) query.set(`zoom.${index}`, options.zoom.join("_"));
    }
  }

  close() {
    for (const panel of this.panels.values()) panel.close();
  }
}

/** The options that a plot can have: addresses are typed, and this browser may remember those of another version. */
function valid(options) {
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => (
    name in CHOICES ? Object.hasOwn(CHOICES[name], value) : name === "zoom" ? isZoom(value) : typeof value === "string")));
}

/** Two or four places: numbers, or times as plotly writes them. */
function isZoom(zoom) {
  const isPlace = (each) => (typeof each === "string" ? /^\d{4}-\d\d-\d\d[ \d:.]*$/.test(each) : Number.isFinite(each));
  return [2, 4].includes(zoom?.length) && zoom.every(isPlace) && zoom[0] !== zoom[1] && zoom[2] !== (zoom[3] ?? null);
}

/** The zoom of an address. */
export function zoomOf(text) {
  const zoom = (text ?? "").split("_").map((each) => (each === "" || Number.isNaN(Number(each)) ? each : Number(each)));
  return isZoom(zoom) ? zoom : null;
}

function optionsOf(query, index) {
  const options = { kind: query.get(`as.${index}`) ?? "auto", log: query.get(`log.${index}`) ?? "", complex: query.get(`complex.${index}`) ?? "re_im" };
  if (query.has(`x.${index}`)) options.axis = query.get(`x.${index}`);
  const zoom = zoomOf(query.get(`zoom.${index}`));
  if (zoom) options.zoom = zoom;
  return options;
}
