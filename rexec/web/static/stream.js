// The connection to the server: says what this page wants, gets what is new, acknowledges what was drawn, reconnects.

import { parseFrame } from "./frame.js";

const FIRST_RETRY = 500;
const LAST_RETRY = 8000;
const NEVER_AGAIN = new Set([4000, 4001, 4002]);

export class Stream {
  /** `take(header)` is called with each message, `changed()` when the connection comes or goes. */
  constructor(take, changed) {
    this.take = take;
    this.changed = changed;
    this.isOpen = false;
    this.lostAt = null;
    this.problem = "";
    this.stopped = false;
    this.delays = [];
    this.bytes = 0;
    this.have = null;
    this.wishes = { parts: [], views: {} };
    this.retry = FIRST_RETRY;
    document.addEventListener("visibilitychange", () => this.sleepOrWake());
    this.connect();
  }

  /** What this page wants to see from now on. */
  want(parts, views) {
    this.wishes = { parts, views };
    this.send({ type: "want", ...this.wishes });
  }

  send(message) {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/stream`, "rexec.web.1");
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.isOpen = true;
      this.lostAt = null;
      this.retry = FIRST_RETRY;
      this.send({ type: "want", ...this.wishes, since: this.have });
      if (document.hidden) this.send({ type: "pause" });
      this.changed();
    });
    socket.addEventListener("message", (event) => this.receive(socket, event.data));
    socket.addEventListener("close", (event) => this.closed(event));
  }

  async receive(socket, data) {
    this.bytes += data.byteLength;
    const header = parseFrame(data);
    if (header.hello) this.have = { instance: header.hello.instance, version: 0 };
    if (this.have) this.have.version = header.version;
    this.take(header);
    await drawn();
    this.delays.push(Date.now() - 1000 * header.time);
    if (this.delays.length > 1000) this.delays.shift();
    if (socket === this.socket) this.send({ type: "ack", seq: header.seq });
  }

  closed(event) {
    const before = this.isOpen ? "" : this.problem; // an attempt that fails tells less than the first end did
    if (this.isOpen || this.lostAt === null) this.lostAt = Date.now();
    this.isOpen = false;
    this.stopped = NEVER_AGAIN.has(event.code);
    this.problem = event.reason || (event.code === 1001 ? "the server was ended" : before);
    this.changed();
    if (this.stopped) return;
    setTimeout(() => this.connect(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(2 * this.retry, LAST_RETRY);
  }

  sleepOrWake() {
    this.send({ type: document.hidden ? "pause" : "continue" });
  }
}

/** Resolves when the browser has drawn, or in a page that nobody sees, soon. */
function drawn() {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, 500);
    requestAnimationFrame(() => {
      clearTimeout(late);
      setTimeout(resolve, 0);
    });
  });
}
