// The connection to the server: says what this page wants, gets what is new, acknowledges what was drawn, reconnects.

import { parseFrame } from "./frame.js";

const FIRST_RETRY = 500;
const LAST_RETRY = 8000;
const ASK_AFTER = 10000;
const LOST_AFTER = 30000;
const LOOK_EVERY = 1000;
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
    this.askAfter = ASK_AFTER;
    this.lostAfter = LOST_AFTER;
    document.addEventListener("visibilitychange", () => this.sleepOrWake());
    setInterval(() => this.look(), LOOK_EVERY);
    this.connect();
  }

  /** What this page wants to see from now on. */
  want(parts, views, instance) {
    this.wishes = { parts, views, instance };
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
      if (socket !== this.socket) return socket.close();
      this.isOpen = true;
      this.heardAt = Date.now();
      this.isAsked = false;
      this.lostAt = null;
      this.retry = FIRST_RETRY;
      this.send({ type: "want", ...this.wishes, since: this.have });
      if (document.hidden) this.send({ type: "pause" });
      return this.changed();
    });
    socket.addEventListener("message", (event) => this.receive(socket, event.data));
    socket.addEventListener("close", (event) => socket === this.socket && this.closed(event));
  }

  /** Whether the server is still there: a cable that is pulled, or a server that hangs, closes no connection. */
  look() {
    if (!this.isOpen || document.hidden) return;
    const silent = Date.now() - this.heardAt;
    if (silent > this.lostAfter) {
      const { socket } = this;
      this.closed({ code: 0, reason: "the server does not answer" });
      socket.close();
    } else if (silent > this.askAfter && !this.isAsked) {
      this.isAsked = true;
      this.send({ type: "alive" });
    }
  }

  async receive(socket, data) {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    this.isAsked = false;
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
    if (!this.isOpen) this.whyNot();
    if (this.isOpen || this.lostAt === null) this.lostAt = Date.now();
    this.isOpen = false;
    this.socket = null;
    this.stopped = NEVER_AGAIN.has(event.code);
    this.problem = event.reason || (event.code === 1001 ? "the server was ended" : before);
    this.changed();
    if (this.stopped) return;
    this.later = setTimeout(() => this.connect(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(2 * this.retry, LAST_RETRY);
  }

  /** A refused connection tells a script nothing: an ordinary request says whether the token is that of another start. */
  async whyNot() {
    const answer = await fetch("/live", { method: "HEAD", cache: "no-store" }).catch(() => null);
    if (answer?.status !== 401 || this.isOpen) return;
    clearTimeout(this.later);
    this.stopped = true;
    this.problem = "the server has another token now: open the address that it printed";
    this.changed();
  }

  sleepOrWake() {
    this.heardAt = Date.now();
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
