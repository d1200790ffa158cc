// Several runs in one plot: the same dataset of each, named by what differs between them.

import { ask } from "./api.js";
import { go } from "./address.js";
import { Chart } from "./chart.js";
import { h, setText, shown, shownName, told } from "./dom.js";
import { PlotData } from "./plot_data.js";
import { zoomOf } from "./plots.js";
import { runAddress } from "./runs.js";
import { onTheme } from "./theme.js";

const MOST = 16;

export class CompareView {
  constructor(page, query) {
    this.page = page;
    this.files = query.getAll("run").slice(0, MOST);
    this.dataset = query.get("show") ?? "";
    this.axis = query.get("x") ?? "";
    this.zoom = zoomOf(query.get("zoom"));
    this.element = this.build();
    this.load();
  }

  build() {
    this.state = h("p", { role: "status", class: "muted" }, "Reading the files…");
    this.which = h("select", { id: "dataset", on: { change: () => this.set({ dataset: this.which.value, axis: "", zoom: null }) } });
    this.against = h("select", { id: "axis", on: { change: () => this.set({ axis: this.against.value, zoom: null }) } });
    this.area = h("div", { class: "chart tall", tabindex: "0", role: "img", "aria-label": "Plot of several runs" });
    this.list = h("ul");
    this.chart = new Chart(this.area, (zoom) => this.zoomTo(zoom), (problem) => setText(this.state, problem));
    this.reset = h("button", { type: "button", hidden: !this.zoom, on: { click: () => this.zoomTo(null) } }, "Reset zoom");
    this.forgetTheme = onTheme(() => this.show());
    return h("div", {}, h("p", {}, h("a", { href: "/runs", "data-view": true }, "All runs")),
      h("div", { class: "filters" }, h("label", { for: "dataset" }, "Dataset "), this.which, h("label", { for: "axis" }, "Against "), this.against, this.reset),
      this.state, h("section", { class: "panel" }, this.area), this.list);
  }

  wishes() {
    return { parts: ["sources"], views: {} };
  }

  async load() {
    const all = await Promise.all(this.files.map(async (file) => ({ file, ...(await ask("/api/run", { file })) })));
    if (this.isClosed) return;
    this.runs = all.filter((each) => !each.problem);
    const labels = differences(this.runs);
    this.list.replaceChildren(...all.map((run) => h("li", {}, h("a", { href: runAddress(run.file), "data-view": true }, told(labels.get(run.file) ?? run.file, 200)), run.problem ? h("span", { class: "bad" }, ": ", told(run.problem, 300)) : "")));
    this.labels = labels;
    const names = common(this.runs);
    if (!names.length) return setText(this.state, "These runs have no numbers in common that can be drawn.");
    const declared = this.runs.find((each) => each.default_plot)?.default_plot ?? [];
    this.dataset = names.includes(this.dataset) ? this.dataset : names.includes(declared[0]) ? declared[0] : names[0];
    this.axis ||= declared[0] === this.dataset ? (declared[1] ?? "") : "";
    fill(this.which, names, this.dataset);
    this.draw();
  }

  set(change) {
    Object.assign(this, change);
    this.note();
    this.draw();
  }

  zoomTo(zoom) {
    this.zoom = zoom;
    this.area.focus();
    this.note();
    this.show();
    this.refine();
  }

  note() {
    this.reset.hidden = !this.zoom;
    const query = new URLSearchParams();
    for (const each of this.files) query.append("run", each);
    query.set("show", this.dataset);
    if (this.axis) query.set("x", this.axis);
    if (this.zoom) query.set("zoom", this.zoom.join("_"));
    go("/runs/compare", query, { replace: true, quiet: true });
  }

  async draw() {
    const rows = this.runs[0].datasets;
    const shape = rows.find((each) => each[1] === this.dataset)?.[7];
    fill(this.against, ["", ...rows.filter((each) => each[7]?.length === 1 && each[7][0] === shape?.[0] && each[1] !== this.dataset).map((each) => each[1])], this.axis);
    const asked = (this.asked = {});
    const overlays = await Promise.all(this.runs.map(async (run) => ({
      run, plot: plotOf(await ask("/api/plot", this.wanted(run))), label: shown(this.labels.get(run.file), 80), fine: null,
    })));
    if (this.isClosed || this.asked !== asked) return; // closed meanwhile, or asked anew
    this.overlays = overlays.filter(({ plot }) => plot);
    setText(this.state, `${this.overlays.length} of ${this.files.length} runs are drawn`);
    this.area.setAttribute("aria-label", `Plot of ${shownName(this.dataset)} of ${this.overlays.length} runs`);
    this.show();
    this.refine();
  }

  wanted({ file }) {
    return { file, dataset: this.dataset, axis: this.axis, kind: "line", most: 2000 };
  }

  show() {
    if (!this.overlays?.length) return;
    const overlays = this.overlays.map(({ plot, fine, label }) => ({ plot: (this.zoom && fine) || plot, label }));
    this.chart.draw({ facts: overlays[0].plot.facts, data: overlays[0].plot.data, overlays, log: "", complex: "re_im", zoom: this.zoom }, { dataset: this.dataset, axis: this.axis });
  }

  /** Get the exact points of the range that is shown, of the runs that are drawn by their extremes. */
  async refine() {
    const { zoom, overlays } = this;
    if (!zoom) return;
    await Promise.all(overlays.map(async (each) => {
      const rows = each.plot.facts.step > 1 && each.plot.data.rowsWithin(zoom[0], zoom[1]);
      const part = rows ? await ask("/api/plot", { ...this.wanted(each.run), from: rows[0], to: rows[1] }) : null;
      if (this.zoom === zoom) each.fine = part && plotOf(part);
    }));
    if (!this.isClosed && this.zoom === zoom && this.overlays === overlays) this.show();
  }

  refresh() {}

  take() {}

  close() {
    this.isClosed = true;
    this.forgetTheme();
    this.chart.close();
  }
}

/** The data of an answer; null: it has no points. */
function plotOf(part) {
  if (part.problem || part.op !== "points") return null;
  const plot = new PlotData();
  plot.take({ ...part, is_whole: true }, part.arrays);
  return plot;
}

function fill(select, names, value) {
  select.replaceChildren(...names.map((each) => h("option", { value: each }, shownName(each || "index", 60))));
  select.value = value;
}

/** Names of datasets that all runs have, as lines. */
function common(runs) {
  const of = (run) => run.datasets.filter((each) => ["line", "lines"].includes(each[2])).map((each) => each[1]);
  return runs.length ? of(runs[0]).filter((name) => runs.every((run) => of(run).includes(name))) : [];
}

/** Labels of runs: the number, and the arguments that are not the same in all of them. */
function differences(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.arguments)))];
  const other = names.filter((name) => new Set(runs.map((run) => run.arguments[name])).size > 1).slice(0, 3);
  return new Map(runs.map((run) => {
    const values = other.filter((name) => name in run.arguments).map((name) => `${name}=${run.arguments[name]}`);
    return [run.file, [run.rid ?? run.file.split("/").pop(), values.join(", ")].filter(Boolean).join(": ")];
  }));
}
