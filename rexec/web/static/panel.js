// One plot with its tools: how it is drawn, against which, pause, zoom, picture. By mouse and by keyboard.

import { Chart } from "./chart.js";
import { h, named, setText, shown, shownName } from "./dom.js";
import { count } from "./format.js";
import { LineData } from "./line_data.js";
import { PlotData } from "./plot_data.js";
import { onTheme } from "./theme.js";

const REFINE_EVERY = 300;

/** What may be chosen of a plot, with its words. */
export const CHOICES = {
  kind: { auto: "by shape", line: "line", lines: "lines", image: "image", histogram: "histogram", history: "history" },
  log: { "": "linear", y: "log y", x: "log x", xy: "log x, y" },
  complex: { re_im: "re, im", mag_phase: "magnitude, phase" },
};

export class Panel {
  /**
   * `options`: name (of the dataset), kind, axis (a name), log ("", "x", "y", "xy"), complex, zoom.
   * `calls`: changed(options), closed(), axes() (names that may be an axis), exact(options, from, to): the answer with all points of those rows, isLive.
   */
  constructor(options, calls) {
    this.options = { kind: "auto", axis: "", log: "", complex: "re_im", zoom: null, ...options };
    this.calls = calls;
    this.plot = new PlotData();
    this.frozen = null;
    this.fine = null;
    this.element = this.build();
    this.resetButton.hidden = !this.options.zoom;
    this.chart = new Chart(this.area, (range) => this.zoomTo(range), (problem) => this.fail(problem));
    this.forgetTheme = onTheme(() => this.draw());
  }

  build() {
    const name = shownName(this.options.name);
    this.note = h("span", { class: "note" });
    this.pauseButton = h("button", { type: "button", "aria-pressed": "false", hidden: !this.calls.isLive, on: { click: () => this.pause() } }, "Pause");
    this.area = h("div", {
      class: "chart", tabindex: "0", role: "img", "aria-label": `${name}: waiting for data`,
    });
    this.empty = h("p", { class: "chart-empty" }, "Waiting for data…");
    this.kind = this.choice("Drawn as", CHOICES.kind, this.options.kind, (kind) => this.set({ kind, zoom: null }));
    this.axis = this.choice("Against", this.axes(), this.options.axis, (axis) => this.set({ axis, zoom: null }));
    this.log = this.choice("Scales", CHOICES.log, this.options.log, (log) => this.set({ log, zoom: null }));
    this.complex = this.choice("Complex", CHOICES.complex, this.options.complex, (complex) => this.set({ complex }));
    this.complex.hidden = true;
    const tools = h("details", { class: "tools" }, h("summary", {}, "Options"),
      h("div", { class: "tool-row" }, this.kind, this.axis, this.log, this.complex,
        h("button", { type: "button", on: { click: () => this.chart.save("png", name) } }, "PNG"),
        h("button", { type: "button", on: { click: () => this.chart.save("svg", name) } }, "SVG")));
    this.resetButton = h("button", { type: "button", hidden: true, on: { click: () => this.reset() } }, "Reset zoom");
    const bar = h("div", { class: "panel-bar" }, h("h3", {}, named(this.options.name)), this.note, this.resetButton, this.pauseButton,
      this.calls.closed && h("button", { type: "button", "aria-label": `Close ${name}`, on: { click: () => this.calls.closed() } }, "Close"));
    return h("section", { class: "panel", "aria-label": `Plot of ${name}` }, bar, this.empty, this.area, tools);
  }

  axes() {
    const names = this.calls.axes().filter((each) => each !== this.options.name);
    if (this.options.axis && !names.includes(this.options.axis)) names.unshift(this.options.axis);
    return { "": "index", ...Object.fromEntries(names.map((each) => [each, each])) };
  }

  choice(label, choices, value, chosen) {
    const select = h("select", { on: { change: () => chosen(select.value) } });
    this.fill(select, choices, value);
    if (label === "Against") select.addEventListener("focus", () => this.fill(select, this.axes(), this.options.axis));
    return h("label", {}, `${label} `, select);
  }

  fill(select, choices, value) {
    select.replaceChildren(...Object.entries(choices).map(([key, text]) => h("option", { value: key }, shownName(text, 60))));
    select.value = value;
  }

  reset() {
    this.zoomTo(null);
    this.area.focus();
  }

  set(change) {
    Object.assign(this.options, change);
    this.resetButton.hidden = !this.options.zoom;
    if ("kind" in change || "axis" in change || "complex" in change || "zoom" in change) this.fine = null;
    this.calls.changed(this.options, change);
    this.draw();
  }

  take(part, arrays) {
    this.plot.take(part, arrays);
    this.complex.hidden = !String(part.dtype).startsWith("complex");
    if (this.frozen) return;
    if (part.is_whole) this.fine = null;
    this.draw();
    this.refine();
  }

  /** Say why there is nothing to draw. */
  fail(problem) {
    this.empty.hidden = false;
    this.area.hidden = true;
    setText(this.empty, problem);
  }

  /** The dataset is not there any more; the plot says so. */
  gone() {
    if (this.plot.facts && this.plot.facts.kind !== "gone") this.take({ op: "gone" }, []);
  }

  pause() {
    this.frozen = this.frozen ? null : this.plot.copy();
    this.pauseButton.setAttribute("aria-pressed", String(Boolean(this.frozen)));
    setText(this.pauseButton, this.frozen ? "Continue" : "Pause");
    if (!this.frozen) this.fine = null;
    this.draw();
    this.refine();
  }

  draw() {
    const { options } = this;
    const plot = this.frozen ?? this.plot;
    if (!plot.facts) return;
    const isGone = plot.facts.kind === "gone";
    const hasData = !isGone && (plot.image || plot.histogram || plot.data?.columns.length);
    this.empty.hidden = Boolean(hasData);
    this.area.hidden = !hasData;
    setText(this.note, this.said());
    if (!hasData) {
      const reason = { gone: "This dataset was deleted.", text: "This dataset holds no numbers to draw." }[plot.facts.kind];
      setText(this.empty, reason ?? "No points yet.");
      return;
    }
    this.area.setAttribute("aria-label", shown(plot.summary(options.name)));
    const isFine = this.fine && options.zoom && plot.data;
    const facts = isFine ? { ...plot.facts, offset: this.fine.offset } : plot.facts;
    const shownPlot = {
      facts, data: isFine ? this.fine.data : plot.data, image: plot.image, histogram: plot.histogram,
      log: options.log, complex: options.complex, zoom: options.zoom,
    };
    this.chart.draw(shownPlot, { dataset: options.name, axis: facts.axis ? options.axis : "" });
  }

  said() {
    const { facts, skipped, data, image } = this.frozen ?? this.plot;
    const parts = [];
    if (this.frozen) parts.push("paused");
    if (data && facts.step > 1 && !(this.fine && this.options.zoom)) parts.push(`extremes of every ${facts.step} points`);
    if (image && facts.step > 1) parts.push(`one pixel in ${facts.step}`);
    if (facts.stack > 1) parts.push(`the last of ${facts.stack}`);
    if (facts.left_out) parts.push(`${count(facts.left_out, "column")} not drawn`);
    if (skipped) parts.push(`${count(skipped, "update")} skipped`);
    return parts.join(" · ");
  }

  zoomTo(range) {
    this.set({ zoom: range });
    this.refine();
  }

  /** Get the exact points of the range that is shown, again while the data change. A plot that is paused stays. */
  async refine() {
    this.isStale = true;
    if (this.isRefining) return;
    this.isRefining = true;
    try {
      while (this.isStale && !this.isClosed) {
        this.isStale = false;
        if (await this.refineOnce()) await new Promise((resolve) => setTimeout(resolve, REFINE_EVERY));
      }
    } finally {
      this.isRefining = false;
    }
  }

  /** Returns whether the server was asked. */
  async refineOnce() {
    const { zoom } = this.options;
    const { data, facts } = this.plot;
    if (this.frozen || !zoom || !data || !(facts.step > 1)) return false;
    const log = this.options.log.includes("x");
    const [low, high] = zoom.slice(0, 2).map((each) => (log ? 10 ** each : Number(each)));
    const rows = data.rowsWithin(low, high);
    if (!rows) return false;
    const part = await this.calls.exact(this.options, ...rows);
    if (this.isClosed || this.frozen || part.problem || this.options.zoom !== zoom) return true;
    this.fine = { data: new LineData(), offset: part.offset };
    this.fine.data.take({ ...part, is_whole: true }, part.arrays);
    this.draw();
    return true;
  }

  close() {
    this.isClosed = true;
    this.forgetTheme();
    this.chart.close();
  }
}
