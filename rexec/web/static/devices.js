// The view "Devices": what is in the device database, what works, what does not, and what to do.

import { go } from "./address.js";
import { h, named, setText, told } from "./dom.js";
import { bytes, count, moment, span } from "./format.js";
import { DeviceDetails } from "./device_details.js";

/** Names that no path can have as a part. */
const INEXPRESSIBLE = new Set(["", ".", ".."]);
const ORDER = { error: 0, warning: 1, ok: 2 };

export class DevicesView {
  constructor(page, query, rest) {
    this.page = page;
    this.filterText = query.get("filter") ?? "";
    this.only = ["trouble", "used"].find((each) => each === query.get("only")) ?? "all";
    this.opened = rest[0] ?? query.get("device");
    this.rows = new Map();
    this.element = this.build();
    this.refresh(new Set(["devices"]));
  }

  build() {
    this.filter = h("input", { id: "filter", type: "search", maxlength: 300, value: this.filterText, placeholder: "name, host or user contains…", on: { input: () => this.filtered() } });
    this.choice = h("select", { id: "only", on: { change: () => this.filtered() } },
      h("option", { value: "all" }, "all"), h("option", { value: "trouble" }, "with trouble"), h("option", { value: "used" }, "in use"));
    this.choice.value = this.only;
    this.summary = h("p", { class: "muted", role: "status" });
    this.problem = h("p", { class: "bad" });
    this.body = h("tbody", { role: "rowgroup" });
    this.table = h("table", { class: "devices cards", role: "table" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...["Device", "State", "What to do", "Used by", "Address"].map((text) => h("th", { scope: "col", role: "columnheader" }, text)))), this.body);
    this.empty = h("div", { class: "empty" });
    return h("div", {},
      h("div", { class: "filters" }, h("label", { for: "only" }, "Show "), this.choice, h("label", { for: "filter" }, "Filter "), this.filter),
      this.summary, this.problem, this.empty, h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Devices" }, this.table));
  }

  wishes() {
    return { parts: ["devices", "sources"], views: {} };
  }

  filtered() {
    this.filterText = this.filter.value;
    this.only = this.choice.value;
    this.note({ replace: true, quiet: true });
    this.refresh(new Set(["devices"]));
  }

  note(how) {
    const query = new URLSearchParams();
    if (this.filterText) query.set("filter", this.filterText);
    if (this.only !== "all") query.set("only", this.only);
    const isPlain = this.opened !== null && !INEXPRESSIBLE.has(this.opened);
    if (this.opened !== null && !isPlain) query.set("device", this.opened);
    go(isPlain ? `/devices/${encodeURIComponent(this.opened)}` : "/devices", query, how);
  }

  refresh(changed) {
    if (!changed.has("devices")) return;
    const state = this.page.lab.devices;
    if (!state) return setText(this.summary, "Waiting for the device database…");
    const all = [...state.rows.values()];
    const shown = all.filter((each) => this.fits(each));
    shown.sort((one, other) => ORDER[one.severity] - ORDER[other.severity] || one.place - other.place);
    const broken = all.filter((each) => each.severity === "error").length;
    const when = state.is_examining ? "examining now…" : state.examined ? `examined at ${moment(state.examined)}` : "not examined yet";
    this.summary.hidden = Boolean(state.problem) && !all.length;
    setText(this.summary, `${shown.length} of ${count(all.length, "device")}, ${broken ? `${broken} with errors` : "none with errors"}, ${when}`);
    setText(this.problem, state.problem ?? "");
    this.problem.hidden = !state.problem;
    this.table.hidden = !shown.length;
    this.empty.hidden = shown.length > 0 || Boolean(state.problem);
    if (!this.empty.hidden) this.empty.replaceChildren(...emptyState(all.length, this.only));
    for (const name of this.rows.keys()) if (!state.rows.has(name)) this.rows.delete(name);
    this.list(shown);
  }

  fits(row) {
    if (this.only === "trouble" && row.severity === "ok") return false;
    if (this.only === "used" && !row.users.length) return false;
    const text = [row.name, row.address, ...row.aliases, ...row.users.map((each) => each.text)].join(" ").toLowerCase();
    return text.includes(this.filterText.toLowerCase());
  }

  list(shown) {
    const wanted = [];
    for (const row of shown) {
      const line = this.rows.get(row.name) ?? this.line(row.name);
      fill(line, row);
      const isOpen = row.name === this.opened;
      line.button.setAttribute("aria-expanded", String(isOpen));
      wanted.push(line.element);
      if (isOpen) {
        if (this.details?.name !== row.name) this.details = new DeviceDetails(this.page, row.name);
        this.details.refresh(row);
        wanted.push(this.details.element);
      }
    }
    const present = this.body.children;
    if (present.length !== wanted.length || wanted.some((each, index) => present[index] !== each)) {
      const focused = document.activeElement;
      this.body.replaceChildren(...wanted);
      if (this.body.contains(focused)) focused.focus();
    }
  }

  line(name) {
    const button = h("button", { type: "button", class: "name", on: { click: () => this.toggle(name) } }, named(name));
    const cell = (kind) => h("td", { class: kind, role: "cell" });
    const cells = { state: cell("word"), message: cell("message"), users: cell("users"), address: cell("address") };
    const line = { button, ...cells, element: h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader" }, button), ...Object.values(cells)) };
    this.rows.set(name, line);
    return line;
  }

  toggle(name) {
    this.opened = this.opened === name ? null : name;
    this.note({ quiet: true });
    this.refresh(new Set(["devices"]));
    this.rows.get(name)?.button.focus();
  }

  take() {}

  close() {}
}

function fill(line, row) {
  const word = row.state || row.kind;
  const key = JSON.stringify([word, row.cause, row.severity, row.message, row.users, row.since, row.memory]);
  if (line.key === key) return;
  line.key = key;
  const mark = { error: "✕", warning: "!", ok: row.state ? "✓" : "·" }[row.severity];
  line.state.replaceChildren(h("span", { class: `state ${row.severity} ${row.state ? "" : "still"}` },
    h("span", { class: "mark", "aria-hidden": "true" }, mark), ` ${word}`, row.cause && row.cause !== "ok" ? ` (${row.cause})` : ""));
  line.message.replaceChildren(told(row.message || keptText(row), 600));
  line.users.replaceChildren(...row.users.map((each) => h("div", {}, told(each.text, 200), each.since ? `, since ${moment(each.since)}` : "")));
  line.address.replaceChildren(h("code", {}, told(row.address, 100)));
}

function keptText(row) {
  if (!row.is_kept) return row.description ?? "";
  const parts = [row.description, row.since && `runs since ${moment(row.since)}`, row.restarts && count(row.restarts, "restart"), row.memory && bytes(row.memory), row.retry_at && `next attempt in ${span(Math.max(row.retry_at - Date.now() / 1000, 0))}`];
  return parts.filter(Boolean).join(", ");
}

function emptyState(total, only) {
  if (total) return [h("h2", {}, only === "trouble" ? "All is well" : "No device matches"), h("p", {}, only === "trouble" ? "No device has trouble." : "Change the filter to see more.")];
  return [h("h2", {}, "No devices"), h("p", {}, "The device database is empty. Write one, and check it with ", h("code", {}, "devicedb check"), ".")];
}

