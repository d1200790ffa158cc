// What a person may want to know of one device: its entry, its methods, its log.

import { confirmAndDo } from "./confirm.js";
import { h, setText, shownName, told } from "./dom.js";

export class DeviceDetails {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.entry = h("pre");
    this.facts = h("p", { class: "muted" });
    this.methods = h("div", { class: "methods" }, "Asking the controller…");
    this.actions = h("div", { class: "actions" });
    const log = `/log?${new URLSearchParams({ text: name })}`;
    this.element = h("tr", { class: "details", role: "row" }, h("td", { colspan: "5", role: "cell" },
      this.facts, this.actions, h("p", {}, h("a", { href: log, "data-view": true }, "Its log")),
      h("h3", {}, "Methods"), this.methods, h("h3", {}, "Entry in the device database"), this.entry));
  }

  refresh(row) {
    const parts = [row.kind, row.aliases.length && `also called ${row.aliases.map((each) => shownName(each)).join(", ")}`, row.target && `target ${row.target}`,
      row.controller && row.controller !== row.name && `at controller ${row.controller}`, row.milliseconds && `answers in ${row.milliseconds.toFixed(1)} ms`, row.pid && `process ${row.pid}`];
    setText(this.facts, parts.filter(Boolean).join(" · "));
    setText(this.entry, row.entry);
    if (this.page.lab.hello?.has_control && row.is_kept && !this.actions.children.length) this.offer(row);
    if (!row.address) return setText(this.methods, "A local device has no controller to ask.");
    if (row.severity !== "error") return this.isAsked || this.ask();
    this.isAsked = false; // when it answers again, it may be another program
    return setText(this.methods, "They are shown when the controller answers.");
  }

  offer(row) {
    const button = (text, order, question) => h("button", { type: "button", on: { click: () => confirmAndDo(question, { ...order, device: row.name }) } }, text);
    this.actions.append(
      button("Restart…", { do: "restart" }, `Restart the controller ${shownName(row.name)}? Its users are disconnected.`), " ",
      button("Try again now…", { do: "retry" }, `Try to start ${shownName(row.name)} now?`));
  }

  async ask() {
    this.isAsked = true;
    try {
      const response = await fetch(`/api/methods?${new URLSearchParams({ device: this.name })}`);
      this.show(await response.json());
    } catch {
      this.isAsked = false; // asked again at the next change
      setText(this.methods, "The server did not answer.");
    }
  }

  show({ problem, documentation, methods }) {
    if (problem) {
      this.methods.replaceChildren(told(problem, 1000));
      return;
    }
    this.methods.replaceChildren(
      h("p", { class: "prose" }, told(documentation, 4000)),
      h("dl", {}, ...methods.flatMap((each) => [h("dt", {}, h("code", {}, told(each.signature, 1000))), h("dd", { class: "prose" }, told(each.documentation || "no documentation", 2000))])));
  }
}
