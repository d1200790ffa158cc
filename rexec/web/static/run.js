// One run: what it was, its datasets, plots of them. One that goes on is read again while it changes.

import { ask } from "./api.js";
import { confirmAndDo } from "./confirm.js";
import { go } from "./address.js";
import { h, setText, told } from "./dom.js";
import { moment } from "./format.js";
import { remember, remembered } from "./memory.js";
import { Panel } from "./panel.js";
import { runAddress } from "./runs.js";

const EVERY = 2000;
const FIRST_PLOTS = 4;
const MOST_PLOTS = 12;

export class RunView {
  constructor(page, query, rest) {
    this.page = page;
    this.file = rest.join("/");
    this.asked = query;
    this.panels = new Map();
    this.element = this.build();
    this.load();
  }

  build() {
    this.title = h("h2", {}, told(this.file.split("/").pop()));
    this.state = h("p", { role: "status" }, "Reading the file…");
    this.body = h("tbody");
    this.facts = h("dl", { class: "facts" });
    this.plots = h("div", { class: "plots" });
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
        h("section", { class: "stage", "aria-label": "Plots" }, this.plots)));
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
      return;
    }
    if (found && found.modified !== this.modified) this.show(found);
    if (!found || found.status === "running") this.timer = setTimeout(() => this.load(), EVERY);
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
    this.body.replaceChildren(...[...this.rows.values()].map((row) => this.line(row)));
    const known = { ...found.arguments, ...identity };
    this.facts.replaceChildren(...Object.entries(known).filter(([, value]) => value !== "").flatMap(([name, value]) => [h("dt", {}, told(name, 60)), h("dd", {}, told(/_time$/.test(name) ? moment(Number(value)) : value, 600))]));
    if (isFirst) this.choose();
    for (const panel of this.panels.values()) this.fetch(panel);
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
    const named = this.asked.getAll("show").slice(0, MOST_PLOTS);
    this.isChosen = named.length > 0;
    const declared = this.found.default_plot;
    for (const [index, name] of named.entries()) {
      const log = this.asked.get(`log.${index}`) ?? "";
      const given = { kind: this.asked.get(`as.${index}`) ?? "auto", log };
      if (this.asked.has(`x.${index}`)) given.axis = this.asked.get(`x.${index}`);
      this.open(name, given);
    }
    if (this.isChosen) return;
    if (declared) this.open(declared[0], { axis: declared[1] ?? "" });
    const axes = new Set(declared?.slice(1) ?? []);
    for (const row of this.rows.values()) {
      if (this.panels.size >= (declared ? 1 : FIRST_PLOTS)) break;
      if (["line", "lines", "image"].includes(row.kind) && !axes.has(row.name)) this.open(row.name, {});
    }
  }

  line(row) {
    const button = h("button", { type: "button", class: "name", "aria-pressed": String(this.panels.has(row.name)), on: { click: () => this.toggle(row.name) } }, told(row.name, 120));
    row.button = button;
    return h("tr", {}, h("th", { scope: "row" }, button), h("td", { class: "value" }, told(row.unit ? `${row.text} ${row.unit}` : row.text, 300)));
  }

  open(name, options) {
    const known = remembered(`run ${this.found.identity.class_name ?? ""} ${name}`) ?? {};
    const panel = new Panel({ ...known, ...options, name }, {
      changed: (all, change) => this.changed(panel, change),
      closed: () => this.toggle(name),
      axes: () => this.axesFor(name),
      zoomUrl: ({ axis, complex }, from, to) => `/api/plot?${new URLSearchParams({ ...this.wanted(panel), axis, complex, from, to })}`,
    });
    this.panels.set(name, panel);
    this.plots.append(panel.element);
    this.rows.get(name)?.button?.setAttribute("aria-pressed", "true");
    this.fetch(panel);
  }

  wanted(panel) {
    const { name, kind, axis, complex } = panel.options;
    return { file: this.file, dataset: name, kind, axis, complex, most: 4000 };
  }

  async fetch(panel) {
    const part = await ask("/api/plot", this.wanted(panel));
    if (this.isClosed) return;
    if (part.problem) panel.fail(part.problem);
    else panel.take(part, part.arrays);
  }

  toggle(name) {
    const panel = this.panels.get(name);
    this.isChosen = true;
    if (panel) {
      panel.close();
      panel.element.remove();
      this.panels.delete(name);
      this.rows.get(name)?.button?.setAttribute("aria-pressed", "false");
      this.rows.get(name)?.button?.focus();
    } else if (this.panels.size < MOST_PLOTS) {
      this.open(name, {});
    }
    this.note();
  }

  changed(panel, change) {
    const { name, kind, axis, log, complex } = panel.options;
    remember(`run ${this.found.identity.class_name ?? ""} ${name}`, { kind, axis, log, complex });
    this.isChosen = true;
    this.note();
    if ("kind" in change || "axis" in change || "complex" in change) this.fetch(panel);
  }

  note() {
    const query = new URLSearchParams();
    for (const [index, [name, { options }]] of [...this.panels].entries()) {
      query.append("show", name);
      if (options.kind !== "auto") query.set(`as.${index}`, options.kind);
      query.set(`x.${index}`, options.axis);
      if (options.log) query.set(`log.${index}`, options.log);
    }
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
    for (const panel of this.panels.values()) panel.close();
  }
}

