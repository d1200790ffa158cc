// Several runs in one plot: the same dataset of each, named by what differs between them.

import { ask } from "./api.js";
import { go } from "./address.js";
import { Chart } from "./chart.js";
import { h, setText, shown, told } from "./dom.js";
import { PlotData } from "./plot_data.js";
import { runAddress } from "./runs.js";

const MOST = 16;

export class CompareView {
  constructor(page, query) {
    this.page = page;
    this.files = query.getAll("run").slice(0, MOST);
    this.dataset = query.get("show") ?? "";
    this.axis = query.get("x") ?? "";
    this.element = this.build();
    this.load();
  }

  build() {
    this.state = h("p", { role: "status", class: "muted" }, "Reading the files…");
    this.which = h("select", { id: "dataset", on: { change: () => this.set({ dataset: this.which.value }) } });
    this.against = h("select", { id: "axis", on: { change: () => this.set({ axis: this.against.value }) } });
    this.area = h("div", { class: "chart tall", tabindex: "0", role: "img", "aria-label": "Plot of several runs" });
    this.list = h("ul");
    this.chart = new Chart(this.area, () => {}, (problem) => setText(this.state, problem));
    return h("div", {}, h("p", {}, h("a", { href: "/runs", "data-view": true }, "All runs")),
      h("div", { class: "filters" }, h("label", { for: "dataset" }, "Dataset "), this.which, h("label", { for: "axis" }, "Against "), this.against),
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
    const query = new URLSearchParams();
    for (const each of this.files) query.append("run", each);
    query.set("show", this.dataset);
    if (this.axis) query.set("x", this.axis);
    go("/runs/compare", query, { replace: true, quiet: true });
    this.draw();
  }

  async draw() {
    const rows = this.runs[0].datasets;
    const shape = rows.find((each) => each[1] === this.dataset)?.[7];
    fill(this.against, ["", ...rows.filter((each) => each[7]?.length === 1 && each[7][0] === shape?.[0] && each[1] !== this.dataset).map((each) => each[1])], this.axis);
    const parts = await Promise.all(this.runs.map((run) => ask("/api/plot", { file: run.file, dataset: this.dataset, axis: this.axis, kind: "line", most: 2000 })));
    if (this.isClosed) return;
    const overlays = [];
    for (const [index, part] of parts.entries()) {
      if (part.problem || part.op !== "points") continue;
      const plot = new PlotData();
      plot.take(part, part.arrays);
      overlays.push({ plot, label: shown(this.labels.get(this.runs[index].file), 80) });
    }
    setText(this.state, `${overlays.length} of ${this.files.length} runs are drawn`);
    this.area.setAttribute("aria-label", `Plot of ${shown(this.dataset, 100)} of ${overlays.length} runs`);
    if (!overlays.length) return;
    this.chart.draw({ facts: overlays[0].plot.facts, data: overlays[0].plot.data, overlays, log: "", complex: "re_im" }, { dataset: this.dataset, axis: this.axis });
  }

  refresh() {}

  take() {}

  close() {
    this.isClosed = true;
    this.chart.close();
  }
}

function fill(select, names, value) {
  select.replaceChildren(...names.map((each) => h("option", { value: each }, shown(each || "index", 60))));
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
