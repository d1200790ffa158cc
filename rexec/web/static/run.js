// One run: what it was, its datasets, plots of them. One that goes on is read again while it changes.

import { ask } from "./api.js";
import { confirmAndDo } from "./confirm.js";
import { go } from "./address.js";
import { h, named, setText, told } from "./dom.js";
import { moment } from "./format.js";
import { Plots } from "./plots.js";
import { runAddress } from "./runs.js";

const EVERY = 2000;
const FIRST_PLOTS = 4;

export class RunView {
  constructor(page, query, rest) {
    this.page = page;
    this.file = rest.join("/");
    this.asked = query;
    this.rows = new Map();
    this.element = this.build();
    this.load();
  }

  build() {
    this.title = h("h2", {}, told(this.file.split("/").pop()));
    this.state = h("p", { role: "status" }, "Reading the file…");
    this.body = h("tbody");
    this.facts = h("dl", { class: "facts" });
    const stage = h("div", { class: "plots" });
    this.plots = new Plots(stage, {
      keyOf: (name) => `run ${this.found.identity.class_name ?? ""} ${name}`,
      panel: (name) => ({ axes: () => this.axesFor(name), exact: (options, from, to) => ask("/api/plot", { ...this.wanted(options), from, to }) }),
      likely: () => ({}),
      opened: (panel) => this.fetch(panel),
      changed: (panel, change) => this.changed(panel, change),
      toggled: () => this.toggled(),
      button: (name) => this.rows.get(name)?.button,
    });
    this.panels = this.plots.panels;
    this.actions = h("p", { class: "tool-row" });
    this.notes = h("ul", { class: "bad" });
    const download = `/file?${new URLSearchParams({ file: this.file })}`;
    return h("div", {},
      h("p", {}, h("a", { href: "/runs", "data-view": true }, "All runs"), " · ", h("a", { href: download, download: true }, "Download the file")),
      this.title, this.state, this.actions, this.notes,
      h("div", { class: "live" },
        h("section", { class: "list", "aria-label": "Datasets" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of datasets" },
          h("table", { class: "datasets two" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Dataset"), h("th", { scope: "col" }, "Value"))), this.body)),
        h("details", { open: true }, h("summary", {}, "About this run"), this.facts)),
        h("section", { class: "stage", "aria-label": "Plots" }, stage)));
  }

  wishes() {
    return { parts: ["sources"], views: {} };
  }

  async load() {
    const found = document.hidden ? null : await ask("/api/run", { file: this.file });
    if (this.isClosed) return;
    if (found?.problem) {
      setText(this.state, found.problem);
      this.state.className = "bad";
      this.modified = this.modified === undefined ? undefined : null; // to be shown again, also if it is the same
    } else if (found && found.modified !== this.modified) this.show(found);
    const last = found?.problem ? this.found : found; // a run that goes on does so after a failed look, too
    if (!found || found.isLost || last?.status === "running") this.timer = setTimeout(() => this.load(), EVERY);
  }

  show(found) {
    const isFirst = this.modified === undefined;
    this.modified = found.modified;
    this.found = found;
    const { identity } = found;
    setText(this.title, [found.rid === null ? this.file.split("/").pop() : `Run ${found.rid}`, identity.class_name].filter(Boolean).join(" · "));
    const goesOn = found.status === "running" ? "it goes on, and is read again as it changes" : "";
    setText(this.state, [found.is_simulated && "SIMULATED: nothing was measured", found.status || "a file of ARTIQ", goesOn, found.error].filter(Boolean).join(" · "));
    this.state.className = found.error ? "bad" : "";
    if (this.page.lab.hello?.has_control) this.offer(found);
    this.notes.replaceChildren(...found.notes.map((each) => h("li", {}, told(each, 1000))));
    this.rows = new Map(found.datasets.map(([number, name, kind, text, unit, , , shape]) => [name, { name, kind, text, unit, shape }]));
    const focused = document.activeElement?.dataset?.dataset;
    this.body.replaceChildren(...[...this.rows.values()].map((row) => this.line(row)));
    if (focused !== undefined) this.rows.get(focused)?.button.focus();
    this.marks();
    const times = Object.entries(identity).map(([name, value]) => [name, /_time$/.test(name) ? moment(Number(value)) : value]);
    const known = [...Object.entries(found.arguments), ...times]; // an argument may have the name of a fact
    this.facts.replaceChildren(...known.filter(([, value]) => value !== "").flatMap(([name, value]) => [h("dt", {}, named(name, 60)), h("dd", {}, told(value, 600))]));
    if (isFirst) this.choose();
    else for (const panel of this.panels.values()) this.fetch(panel);
  }

  /** What can be done with this run, in a page with --control. */
  offer(found) {
    const button = (text, question, order, field) => h("button", { type: "button", on: { click: () => confirmAndDo(question, { ...order, file: this.file }, field) } }, text);
    const name = found.rid === null ? "this file" : `run ${found.rid}`;
    this.actions.replaceChildren(...[
      found.status === "running" && button("End the run…", `End ${name} in order, as Ctrl-C does?`, { do: "end" }),
      button("Comment…", `Comment ${name}`, { do: "comment" }, { name: "text", label: "Comment", value: "" }),
      button("Tag…", `Give ${name} a tag`, { do: "tag" }, { name: "text", label: "Tag (one word)", value: "" }),
      button("Remove a tag…", `Remove a tag of ${name}`, { do: "untag" }, { name: "text", label: "Tag", value: "" }),
    ].filter(Boolean));
  }

  /** At first the plots of the address, else the default plot of the experiment, else the first lines and images. */
  choose() {
    if (this.asked.has("show") || this.asked.has("none")) return this.plots.openAll(this.asked);
    const declared = this.found.default_plot;
    if (declared) this.plots.open(declared[0], { axis: declared[1] ?? "" });
    const axes = new Set(declared?.slice(1) ?? []);
    for (const row of this.rows.values()) {
      if (this.panels.size >= (declared ? 1 : FIRST_PLOTS)) break;
      if (["line", "lines", "image"].includes(row.kind) && !axes.has(row.name)) this.plots.open(row.name);
    }
    return undefined;
  }

  line(row) {
    const button = h("button", { type: "button", class: "name", "data-dataset": row.name, on: { click: () => this.plots.toggle(row.name) } }, named(row.name));
    row.button = button;
    return h("tr", {}, h("th", { scope: "row" }, button), h("td", { class: "value" }, told(row.unit ? `${row.text} ${row.unit}` : row.text, 300)));
  }

  wanted({ name, kind, axis, complex }) {
    return { file: this.file, dataset: name, kind, axis, complex, most: 4000 };
  }

  async fetch(panel) {
    const asked = (panel.asked = this.wanted(panel.options));
    this.marks();
    const part = await ask("/api/plot", asked);
    if (panel.isClosed || panel.asked !== asked) return; // closed meanwhile, or asked anew
    if (part.problem) panel.fail(part.problem);
    else panel.take(part, part.arrays);
  }

  /** Say which datasets are drawn. */
  marks() {
    for (const { name, button } of this.rows.values()) button?.setAttribute("aria-pressed", String(this.panels.has(name)));
  }

  toggled() {
    this.marks();
    this.note();
  }

  changed(panel, change) {
    this.note();
    if ("kind" in change || "axis" in change || "complex" in change) this.fetch(panel);
  }

  note() {
    const query = new URLSearchParams();
    this.plots.note(query);
    if (!this.panels.size) query.set("none", "1");
    go(runAddress(this.file), query, { replace: true, quiet: true });
  }

  axesFor(name) {
    const shape = this.rows.get(name)?.shape;
    return [...this.rows.values()].filter((each) => each.shape?.length === 1 && each.shape[0] === shape?.[0]).map((each) => each.name);
  }

  refresh() {}

  take() {}

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.plots.close();
  }
}

