// The view "Live": the datasets as they change, and plots of those that are chosen.

import { go } from "./address.js";
import { ask } from "./api.js";
import { confirmAndDo } from "./confirm.js";
import { h, named, setText, shownName, told } from "./dom.js";
import { ago, count, moment } from "./format.js";
import { Plots } from "./plots.js";

const MOST_SHOWN = 300;
const FIRST_PLOTS = 4;
const ASK_EVERY = 10000;

export class LiveView {
  constructor(page, query) {
    this.page = page;
    this.rows = new Map();
    this.isChosen = query.has("show") || query.has("none");
    this.filterText = query.get("filter") ?? "";
    this.element = this.build();
    this.plots.openAll(query);
    this.refresh(new Set(["datasets", "source"]));
  }

  build() {
    this.filter = h("input", { type: "search", id: "filter", maxlength: 300, value: this.filterText, placeholder: "name contains…", on: { input: () => this.filtered() } });
    this.body = h("tbody");
    this.summary = h("p", { class: "muted", role: "status" });
    this.table = h("table", { class: "datasets" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Dataset"), h("th", { scope: "col" }, "Value"), h("th", { scope: "col" }, "Changed"))),
      this.body);
    const stage = h("div", { class: "plots" });
    this.plots = new Plots(stage, {
      keyOf: (name) => `plot ${name}`,
      panel: (name) => this.panelCalls(name),
      likely: (name) => this.likely(name),
      opened: (panel) => this.opened(panel),
      changed: (panel, change) => this.changed(panel, change),
      toggled: () => this.toggled(),
      button: (name) => this.rows.get(name)?.button,
    });
    this.panels = this.plots.panels;
    this.empty = h("div", { class: "empty" });
    return h("div", { class: "live" },
      h("section", { class: "list", "aria-label": "Datasets" },
        h("label", { for: "filter" }, "Datasets"), this.filter, this.summary,
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of datasets" }, this.table)),
      h("section", { class: "stage", "aria-label": "Plots" }, this.empty, stage));
  }

  /** What the stream shall send for this view. */
  wishes() {
    const views = {};
    for (const [name, panel] of this.panels) {
      const row = this.page.lab.byName.get(name);
      if (!row) continue;
      const { kind, axis, complex } = panel.options;
      views[panel.id] = { dataset: row.number, kind, complex, most: 4000, had: panel.plot.had };
      const along = axis && this.page.lab.byName.get(axis);
      if (along) views[panel.id].axis = along.number;
    }
    return { parts: ["datasets", "sources"], views };
  }

  take(part, arrays) {
    for (const panel of this.panels.values()) if (panel.id === part.name) panel.take(part, arrays);
  }

  refresh(changed) {
    if (!changed.has("datasets") && !changed.has("source")) return;
    if (!this.isChosen) this.choose();
    this.list();
    const { lab } = this.page;
    this.empty.hidden = this.panels.size > 0;
    if (!this.empty.hidden) this.empty.replaceChildren(...emptyState(lab));
    for (const [name, panel] of this.panels) if (!lab.byName.has(name)) panel.gone();
    const known = [lab.instance, ...[...this.panels.keys()].map((name) => lab.byName.get(name)?.number)].join();
    if (known !== this.known) {
      this.known = known;
      this.page.want();
    }
  }

  /** The default plot of the run that goes on, from its file, for those who have not chosen; asked now and then. */
  async askDefault() {
    if (this.askedAt && Date.now() - this.askedAt < ASK_EVERY) return;
    this.askedAt = Date.now();
    const { runs = [] } = await ask("/api/runs", { query: "status=running", most: 1 });
    const found = runs.length ? await ask("/api/run", { file: runs[0].file }) : {};
    this.default = found.default_plot ?? this.default;
    this.showDefault();
  }

  /** The datasets of the default plot may come after its name. */
  showDefault() {
    const [name, axis] = this.default ?? [];
    if (this.isChosen || this.isClosed || !this.page.lab.byName.has(name) || this.declared === name) return;
    this.declared = name;
    const panel = this.panels.get(name);
    if (panel) panel.set({ axis: axis ?? "" });
    else this.plots.open(name, { axis: axis ?? "" });
    this.plots.element.prepend(this.panels.get(name)?.element ?? "");
    this.page.want();
  }

  /** Without a choice of a person: plots of what changed last. */
  choose() {
    this.askDefault();
    this.openSome();
    this.showDefault();
  }

  openSome() {
    const { lab } = this.page;
    if (this.panels.size >= FIRST_PLOTS) return;
    const rows = [...lab.datasets.values()].filter((each) => ["line", "lines", "image"].includes(each.kind));
    const axes = new Set(rows.map((each) => lab.likelyAxis(each)));
    rows.sort((one, other) => other.changed - one.changed);
    for (const row of rows.filter((each) => !axes.has(each.name))) {
      if (this.panels.size >= FIRST_PLOTS) break;
      this.plots.open(row.name);
    }
  }

  likely(name) {
    const row = this.page.lab.byName.get(name);
    return { axis: row ? this.page.lab.likelyAxis(row) : "" };
  }

  panelCalls(name) {
    const { lab } = this.page;
    return {
      isLive: true,
      axes: () => lab.axesFor(lab.byName.get(name)?.shape),
      exact: ({ axis, complex }, from, to) =>
        ask("/api/zoom", { instance: lab.instance, dataset: lab.byName.get(name)?.number ?? 0, axis: lab.byName.get(axis)?.number, from, to, most: 4000, complex }),
    };
  }

  opened(panel) {
    panel.id = `plot ${(LiveView.number = (LiveView.number ?? 0) + 1)}`;
    this.known = undefined;
  }

  toggled() {
    this.isChosen = true;
    this.note();
    this.refresh(new Set(["datasets"]));
    this.page.want();
  }

  changed(panel, change) {
    this.isChosen = this.isChosen || !("axis" in change && Object.keys(change).length === 1 && this.declared === panel.options.name);
    if (this.isChosen) this.note();
    if ("kind" in change || "axis" in change || "complex" in change) this.page.want();
  }

  filtered() {
    this.filterText = this.filter.value;
    this.note();
    this.list();
  }

  /** Write the state into the address. */
  note() {
    const query = new URLSearchParams();
    if (this.filterText) query.set("filter", this.filterText);
    if (this.isChosen) this.plots.note(query);
    if (this.isChosen && !this.panels.size) query.set("none", "1");
    go("/live", query, { replace: true, quiet: true });
  }

  list() {
    const { lab } = this.page;
    const wanted = this.filterText.toLowerCase();
    const found = [...lab.datasets.values()].filter((each) => each.name.toLowerCase().includes(wanted));
    found.sort((one, other) => (one.name < other.name ? -1 : 1));
    const rest = found.length - MOST_SHOWN;
    const names = new Set();
    let before = null;
    for (const row of found.slice(0, MOST_SHOWN)) {
      names.add(row.name);
      const line = this.rows.get(row.name) ?? this.line(row.name);
      fill(line, row, this.panels.has(row.name));
      line.edit.hidden = !lab.hello?.has_control || !["number", "text"].includes(row.kind);
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== line.element) this.body.insertBefore(line.element, place);
      before = line.element;
    }
    for (const [name, line] of this.rows) {
      if (names.has(name)) continue;
      line.element.remove();
      this.rows.delete(name);
    }
    this.table.hidden = !found.length;
    const more = rest > 0 ? `; ${count(rest, "more")}: filter to see them` : "";
    setText(this.summary, lab.datasets.size ? `${found.length} of ${count(lab.datasets.size, "dataset")}${more}` : "no datasets");
  }

  line(name) {
    const button = h("button", { type: "button", class: "name", on: { click: () => this.plots.toggle(name) } }, named(name));
    const value = h("td", { class: "value" });
    const when = h("td", { class: "when" });
    const edit = h("button", { type: "button", hidden: true, "aria-label": `Set ${shownName(name)}`, on: { click: () => this.edit(name) } }, "Set…");
    const line = { element: h("tr", {}, h("th", { scope: "row" }, button, " ", edit), value, when), button, value, when, edit };
    this.rows.set(name, line);
    return line;
  }

  edit(name) {
    const row = this.page.lab.byName.get(name);
    const unit = row?.unit ? ` In base units, not in ${row.unit}.` : "";
    if (row) confirmAndDo(`Set the dataset ${shownName(name)}? It is ${row.text} ${row.unit} now.${unit}`, { do: "set", dataset: row.number, instance: this.page.lab.instance }, { name: "value", label: "New value", value: "" });
  }

  close() {
    this.isClosed = true;
    this.plots.close();
  }
}

function fill(line, row, isOpen) {
  setText(line.value, row.unit ? `${row.text} ${row.unit}` : row.text);
  setText(line.when, moment(row.changed));
  line.when.title = ago(row.changed);
  line.button.setAttribute("aria-pressed", String(isOpen));
  line.button.title = row.persist ? "kept in the dataset database" : "";
}

function emptyState(lab) {
  if (lab.source === null) {
    return [h("h2", {}, "No master"), h("p", {}, "This page was started without a master, so there are no live datasets. Runs shows what was measured.")];
  }
  if (lab.source && !lab.source.connected) {
    return [
      h("h2", {}, "No master answers"), h("p", {}, told(lab.source.problem)),
      h("p", {}, "Start one with ", h("code", {}, "rexec master"), " or ", h("code", {}, "artiq_master"), ", or name another with ", h("code", {}, "rexec web --master HOST"), ". The page connects by itself."),
    ];
  }
  if (!lab.datasets.size) {
    return [h("h2", {}, "No datasets yet"), h("p", {}, "They appear here when an experiment sets one with ", h("code", {}, "broadcast=True"), ".")];
  }
  return [h("h2", {}, "Nothing is drawn"), h("p", {}, "Choose a dataset in the list.")];
}
