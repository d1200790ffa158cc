// The view "Runs": what was measured, newest first; filtered in the catalogue's language, opened, compared.

import { ask } from "./api.js";
import { go } from "./address.js";
import { h, setText, told } from "./dom.js";
import { count, moment, span } from "./format.js";

const LEVEL = { completed: "ok", running: "waiting", failed: "error", killed: "error", unreadable: "error", recovered: "warning", interrupted: "warning" };
const MARK = { ok: "✓", error: "✕", warning: "!", waiting: "▶" };
const EVERY = 3000;
const PAUSE = 250;

export class RunsView {
  constructor(page, query) {
    this.page = page;
    this.query = query.get("query") ?? "";
    this.chosen = new Set(query.getAll("run"));
    this.element = this.build();
    this.timer = setInterval(() => this.tick(), EVERY);
    this.load();
  }

  build() {
    this.input = h("input", { id: "query", type: "search", maxlength: 2000, value: this.query, spellcheck: "false", "aria-describedby": "query-help", placeholder: "class=Ramsey phase>0.1 since=monday status=completed", on: { input: () => this.typed() } });
    this.summary = h("p", { class: "muted", role: "status" });
    this.problem = h("p", { class: "bad", role: "alert" });
    this.body = h("tbody", { role: "rowgroup" });
    this.compare = h("button", { type: "button", on: { click: () => this.compareChosen() } });
    this.countChosen();
    this.table = h("table", { class: "runs cards", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...["", "Run", "Class", "Status", "Time", "Arguments", "By"].map((text) => h("th", { scope: "col", role: "columnheader" }, text || h("span", { class: "unseen" }, "Chosen"))))), this.body);
    this.table.hidden = true;
    this.empty = h("div", { class: "empty", hidden: true });
    return h("div", {},
      h("div", { class: "filters" }, h("label", { for: "query" }, "Find "), this.input, this.compare),
      h("p", { class: "muted", id: "query-help" }, "Words like ", h("code", {}, "class=Ramsey"), ", ", h("code", {}, "phase>0.1"), ", ", h("code", {}, "since=monday"), ", ", h("code", {}, "status=failed"), ", ", h("code", {}, "tag=paper"), "; all must be true."),
      this.summary, this.problem, this.empty, h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Runs" }, this.table));
  }

  wishes() {
    return { parts: ["sources"], views: {} };
  }

  typed() {
    this.query = this.input.value;
    this.note();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.load(), PAUSE);
  }

  note() {
    const query = new URLSearchParams();
    if (this.query) query.set("query", this.query);
    for (const each of this.chosen) query.append("run", each);
    go("/runs", query, { replace: true, quiet: true });
  }

  /** A slow answer is waited for: the first list of many runs takes longer than a tick. */
  tick() {
    if (!this.asking) this.load();
  }

  async load() {
    if (document.hidden) return;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const found = await ask("/api/runs", { query: this.query, most: 200 }, asking.signal);
      if (this.asking === asking) this.show(found);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      if (this.asking === asking) this.asking = null;
    }
  }

  show({ problem, runs, more, folder }) {
    setText(this.problem, problem ?? "");
    this.problem.hidden = !problem;
    if (problem) return;
    setText(this.summary, `${count(runs.length, "run")}${more ? " and more: narrow the search" : ""}, the newest first`);
    this.table.hidden = !runs.length;
    this.empty.hidden = runs.length > 0;
    if (!runs.length) this.empty.replaceChildren(...emptyState(this.query, folder));
    const key = JSON.stringify(runs);
    if (key === this.key) return;
    this.key = key;
    const focused = document.activeElement?.dataset?.file;
    this.body.replaceChildren(...runs.map((run) => this.line(run)));
    if (focused) this.body.querySelector(`a[data-file="${CSS.escape(focused)}"]`)?.focus();
  }

  line(run) {
    const status = run.kind === "unreadable" ? "unreadable" : run.status;
    const level = Object.hasOwn(LEVEL, status) ? LEVEL[status] : "still";
    const name = run.rid === null ? run.file.split("/").pop() : String(run.rid);
    const box = h("input", { type: "checkbox", checked: this.chosen.has(run.file), "aria-label": `Choose run ${name}`, on: { change: () => this.choose(run.file, box.checked) } });
    const took = run.run_time && run.last_change > run.run_time ? `, ${span(run.last_change - run.run_time)}` : "";
    const given = Object.entries(run.arguments).slice(0, 8);
    const cell = (kind, ...children) => h("td", { class: kind, role: "cell" }, ...children);
    return h("tr", { role: "row" },
      cell("pick", box),
      h("th", { scope: "row", role: "rowheader" }, h("a", { href: runAddress(run.file), "data-view": true, "data-file": run.file }, told(name, 60))),
      cell("class", told(run.class_name, 80), run.is_simulated ? h("div", { class: "simulated" }, "simulated") : null),
      cell("word", h("span", { class: `state ${level}` }, h("span", { class: "mark", "aria-hidden": "true" }, MARK[level] ?? "·"), " ", told(status, 40)), run.problem ? h("div", { class: "message" }, told(run.problem, 200)) : null),
      cell("when", moment(run.time) + took),
      cell("given", told(given.map(([key, value]) => `${key}=${value}`).join(", "), 300), run.comment ? h("div", { class: "comment" }, told(run.comment, 300)) : null, ...run.tags.map((each) => h("span", { class: "tag" }, told(each, 40)))),
      cell("by", told(run.person, 60)));
  }

  choose(file, isChosen) {
    if (isChosen) this.chosen.add(file);
    else this.chosen.delete(file);
    this.countChosen();
    this.note();
  }

  countChosen() {
    this.compare.disabled = this.chosen.size < 2;
    setText(this.compare, this.chosen.size ? `Compare ${this.chosen.size}` : "Compare");
  }

  compareChosen() {
    const query = new URLSearchParams();
    for (const each of this.chosen) query.append("run", each);
    go("/runs/compare", query);
  }

  refresh() {}

  take() {}

  close() {
    clearInterval(this.timer);
    clearTimeout(this.later);
    this.asking?.abort();
    this.asking = null;
  }
}

/** The address of a run. */
export function runAddress(file) {
  return `/runs/${file.split("/").map(encodeURIComponent).join("/")}`;
}

function emptyState(query, folder) {
  if (folder) return [h("h2", {}, "No results yet"), h("p", {}, "There is no folder ", h("code", {}, told(folder)), ". Name another with ", h("code", {}, "rexec web --results DIR"), ", or run an experiment.")];
  if (query) return [h("h2", {}, "No run matches"), h("p", {}, "Take a condition away to see more.")];
  return [h("h2", {}, "No runs yet"), h("p", {}, "A run appears here when it begins: ", h("code", {}, "rexec run experiment.py"), ".")];
}
