// The view "Log": the messages of the laboratory, by level and text.

import { go } from "./address.js";
import { h, setText, told } from "./dom.js";
import { count, moment } from "./format.js";

const LEVELS = [[0, "all"], [20, "info and worse"], [30, "warnings and worse"], [40, "errors"]];
const MOST = 500;

export class LogView {
  constructor(page, query) {
    this.page = page;
    this.level = LEVELS.map(([level]) => level).find((each) => String(each) === query.get("level")) ?? 0;
    this.text = query.get("text") ?? "";
    this.element = this.build();
    this.refresh(new Set(["log"]));
  }

  build() {
    const options = LEVELS.map(([value, text]) => h("option", { value: String(value) }, text));
    this.chosen = h("select", { id: "level", on: { change: () => this.filtered() } }, ...options);
    this.chosen.value = String(this.level);
    this.filter = h("input", { id: "log-text", type: "search", maxlength: 300, value: this.text, placeholder: "source or text contains…", on: { input: () => this.filtered() } });
    this.summary = h("p", { class: "muted", role: "status" });
    this.lines = h("ol", { class: "log-lines", reversed: true });
    this.empty = h("div", { class: "empty" });
    return h("div", { class: "log" },
      h("div", { class: "filters" }, h("label", { for: "level" }, "Level "), this.chosen, h("label", { for: "log-text" }, "Text "), this.filter),
      this.summary, this.empty, this.lines);
  }

  wishes() {
    return { parts: ["log", "sources"], views: {} };
  }

  filtered() {
    this.level = Number(this.chosen.value);
    this.text = this.filter.value;
    const query = new URLSearchParams();
    if (this.level) query.set("level", this.level);
    if (this.text) query.set("text", this.text);
    go("/log", query, { replace: true, quiet: true });
    this.refresh(new Set(["log"]));
  }

  refresh(changed) {
    if (!changed.has("log") && !changed.has("source")) return;
    const { lab } = this.page;
    const wanted = this.text.toLowerCase();
    const found = lab.log.filter(([level, source, , name, text]) => level >= this.level && `${source}:${name}:${text}`.toLowerCase().includes(wanted));
    this.lines.replaceChildren(...found.slice(-MOST).reverse().map(lineOf));
    const left = lab.logLeftOut ? `; ${count(lab.logLeftOut, "earlier line")} not shown` : "";
    setText(this.summary, `${count(found.length, "line")} of ${lab.log.length}${left}, the newest first`);
    this.empty.hidden = found.length > 0;
    this.empty.replaceChildren(h("h2", {}, lab.log.length ? "No line matches" : "No messages yet"), h("p", {}, told(lab.source?.log || "Messages of the master and its controllers appear here as they come.")));
  }

  take() {}

  close() {}
}

function lineOf([level, source, time, name, text]) {
  const word = level >= 40 ? "error" : level >= 30 ? "warning" : level >= 20 ? "info" : "debug";
  return h("li", { class: `log-line ${word}` },
    h("time", {}, moment(time)), h("span", { class: "level" }, word), h("span", { class: "source" }, told(source, 60)), h("span", { class: "logger" }, told(name, 60)), h("span", { class: "message" }, told(text, 4000)));
}
