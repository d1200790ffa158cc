// Draws a plot with plotly, which is loaded when the first plot needs it; never more often than the screen shows.

import { histogramTraces, imageTraces, layoutOf, lineTraces, overlayTraces } from "./figures.js";
import { colours } from "./theme.js";

const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false, scrollZoom: false };
let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/plotly.min.js";
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => {
      loading = null; // the next plot tries again
      script.remove();
      reject(new Error("plotly.min.js could not be loaded"));
    });
    document.head.append(script);
  });
  return loading;
}

export class Chart {
  /** `zoomed(range)` is called when a person has chosen a range of x; null: all of it. `failed(problem)`: nothing is drawn. */
  constructor(element, zoomed, failed) {
    this.element = element;
    this.failed = failed;
    this.zoomed = zoomed;
    this.isDrawing = false;
    this.isClosed = false;
    this.next = null;
    this.revision = 0;
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(element);
  }

  /** Draw a plot, the latest when drawing takes longer than the next one comes. */
  draw(plot, names) {
    this.next = [plot, names];
    if (!this.isDrawing) this.drawAll();
  }

  async drawAll() {
    this.isDrawing = true;
    try {
      const Plotly = await plotly();
      while (this.next) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        if (!this.next || this.isClosed || !this.element.isConnected) return; // closed during a wait
        const [plot, names] = this.next;
        this.next = null;
        await this.drawOne(Plotly, plot, names);
      }
    } catch (error) {
      if (!this.isClosed) this.failed(`It cannot be drawn: ${error.message}. It is tried again with the next value.`);
    } finally {
      this.isDrawing = false;
    }
  }

  async drawOne(Plotly, plot, names) {
    const theme = colours();
    const layout = layoutOf(plot, names, theme);
    layout.datarevision = this.revision += 1;
    layout.width = this.element.clientWidth || 300;
    layout.height = this.element.clientHeight || 240;
    if (plot.zoom) layout.xaxis.range = plot.zoom;
    else layout.xaxis.autorange = true;
    const traces = plot.overlays ? overlayTraces(plot, theme) : plot.image ? imageTraces(plot, theme) : plot.histogram ? histogramTraces(plot, theme) : lineTraces(plot, theme);
    const isFirst = !this.drawn;
    this.drawn = await Plotly.react(this.element, traces, layout, CONFIG);
    if (this.isClosed) return Plotly.purge(this.element);
    if (isFirst) {
      this.element.on("plotly_relayout", (change) => this.relayout(change));
      this.element.on("plotly_doubleclick", () => this.zoomed(null));
    }
    this.element.dataset.drawn = String(this.revision);
  }

  relayout(change) {
    const low = change["xaxis.range[0]"];
    const high = change["xaxis.range[1]"];
    if (low !== undefined && high !== undefined) this.zoomed([low, high]);
  }

  resize() {
    if (!this.drawn) return;
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width && height) globalThis.Plotly.relayout(this.element, { width, height });
  }

  /** The range of x that is shown now. */
  range() {
    return this.drawn ? this.element.layout.xaxis.range.slice() : null;
  }

  /** Save a picture: "png" or "svg". */
  async save(format, name) {
    if (!this.drawn) return;
    const Plotly = await plotly();
    if (this.isClosed) return;
    const { text, back } = colours();
    const layout = { ...this.element.layout, paper_bgcolor: back, font: { ...this.element.layout.font, color: text } };
    const figure = { data: this.element.data, layout };
    await Plotly.downloadImage(figure, { format, filename: name, width: 1000, height: 600, scale: format === "png" ? 2 : 1 });
  }

  close() {
    this.isClosed = true;
    this.resizer.disconnect();
    this.next = null;
    if (this.drawn) globalThis.Plotly.purge(this.element);
  }
}
