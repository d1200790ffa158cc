// What the page says of its connections: to the server, and from there to the master.

import { h, setText, told } from "./dom.js";
import { moment } from "./format.js";

export class Connection {
  constructor(page) {
    this.page = page;
    this.state = document.getElementById("state");
    this.banner = document.getElementById("banner");
  }

  refresh() {
    const { lab, stream } = this.page;
    if (!stream) return;
    const title = lab.hello?.title ?? "rexec";
    setText(document.getElementById("title"), title);
    const isLost = !stream.isOpen && stream.lostAt !== null;
    const source = lab.source;
    const [word, level] = isLost ? ["not connected", "bad"]
      : !stream.isOpen ? ["connecting", "waiting"]
      : source === null || source === undefined ? ["connected", "good"]
      : source.connected ? [`master ${source.master}`, "good"] : ["no master", "bad"];
    this.state.className = level;
    setText(this.state, word);
    this.banner.hidden = !(isLost || (source && !source.connected && lab.datasets.size));
    if (isLost) {
      const what = stream.stopped ? "Reload the page to try again." : "The page connects by itself when the server is back.";
      this.say(`No connection to rexec web since ${moment(stream.lostAt / 1000)}`, stream.problem, `What is shown is from before. ${what}`);
    } else if (!this.banner.hidden) {
      this.say(`No connection to the master since ${moment(source.since)}`, source.problem, "The datasets shown are from before.");
    }
  }

  say(what, why, then) {
    const text = [what, why, then].join("\n");
    if (this.said === text) return;
    this.said = text;
    this.banner.replaceChildren(h("strong", {}, what), why ? h("span", {}, ": ", told(why)) : "", h("span", {}, ". ", then));
  }
}
