// Starts the page: navigation, the view that the address names, the connection and what it says of itself.

import { current, onAddress } from "./address.js";
import { Connection } from "./connection.js";
import { CompareView } from "./compare.js";
import { DevicesView } from "./devices.js";
import { h, shown } from "./dom.js";
import { Lab } from "./lab.js";
import { LiveView } from "./live.js";
import { LogView } from "./log.js";
import { RunView } from "./run.js";
import { RunsView } from "./runs.js";
import { Stream } from "./stream.js";

const VIEWS = {
  live: ["Live", (page, query) => new LiveView(page, query)],
  runs: ["Runs", runsView],
  devices: ["Devices", (page, query, rest) => new DevicesView(page, query, rest)],
  log: ["Log", (page, query) => new LogView(page, query)],
};

/** Below "Runs" are the list, the comparison, and one view for each file. */
function runsView(page, query, rest) {
  if (rest.length === 1 && rest[0] === "compare") return new CompareView(page, query);
  return rest.length ? new RunView(page, query, rest) : new RunsView(page, query);
}

class Page {
  constructor() {
    this.lab = new Lab();
    this.content = document.getElementById("content");
    this.nav = document.querySelector("nav");
    this.connection = new Connection(this);
    this.stream = new Stream((header) => this.take(header), () => this.connection.refresh());
    onAddress(() => this.show());
    this.show();
  }

  /** Show the view of the address. */
  show() {
    const { view, rest, query } = current();
    const [title, made] = VIEWS[view] ?? VIEWS.live;
    this.view?.close();
    this.view = null;
    this.nav.replaceChildren(...Object.entries(VIEWS).map(([name, [text]]) =>
      h("a", { href: `/${name}`, "data-view": true, "aria-current": text === title ? "page" : null }, text)));
    this.title = title;
    this.entitle();
    this.view = made(this, query, rest);
    this.content.replaceChildren(h("h2", { class: "unseen" }, title), this.view.element);
    this.want();
  }

  /** Name the tab. */
  entitle() {
    document.title = `${this.title} · ${shown(this.lab.hello?.title ?? "rexec", 100)}`;
  }

  /** Tell the server what the view shows. */
  want() {
    if (!this.view) return;
    const { parts, views } = this.view.wishes();
    this.stream.want(parts, views, this.lab.instance);
  }

  take(header) {
    const changed = this.lab.take(header);
    for (const part of header.views ?? []) {
      const [first, number] = part.arrays;
      this.view.take(part, header.arrays.slice(first, first + number));
    }
    if (changed.size) this.view.refresh(changed);
    if (changed.has("hello") || changed.has("source")) this.connection.refresh();
    if (changed.has("hello")) this.entitle();
  }
}

globalThis.rexec = new Page();
