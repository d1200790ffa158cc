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
  /** `zoomed(zoom)` is called when a person has chosen a range of x, or of x and y (four numbers); null: all. `failed(problem)`: nothing is drawn. */
  constructor(element, zoomed, failed) {
    this.element = element;
    this.failed = failed;
    this.zoomed = zoomed;
    this.isDrawing = false;
    this.isClosed = false;
    this.next = null;
    this.revision = 0;
    this.zoom = null;
    element.addEventListener("keydown", (event) => this.key(event));
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
    this.zoom = plot.zoom ?? null;
    layout.uirevision = String(this.zoom); // the zoom is the one of the address, and plotly remembers no other
    if (plot.zoom) layout.xaxis.range = plot.zoom.slice(0, 2);
    else layout.xaxis.autorange = true;
    if (plot.zoom?.length === 4) Object.assign(layout.yaxis, { range: plot.zoom.slice(2), autorange: false });
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
    const of = (axis) => (`${axis}.range[1]` in change ? [change[`${axis}.range[0]`], change[`${axis}.range[1]`]] : null);
    const [x, y] = [of("xaxis"), of("yaxis")];
    if (x || y) this.zoomed([...(x ?? this.range()), ...(y ?? this.zoom?.slice(2) ?? [])]);
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

  /** Keys of a focused plot: + and - zoom, arrows move, 0 shows all. */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return; // of the browser: its zoom, its back button
    const range = this.range();
    if (event.key === "0") this.zoomed(null);
    if (!range) return;
    // Plotly writes times as texts of this place, and reads numbers as milliseconds since the epoch.
    const [low, high] = range.map((each) => (typeof each === "string" ? Date.parse(each.replace(" ", "T")) : each));
    const [middle, half] = [(low + high) / 2, (high - low) / 2];
    const next = {
      "+": [middle - half / 2, middle + half / 2], "-": [middle - 2 * half, middle + 2 * half],
      ArrowLeft: [low - half / 2, high - half / 2], ArrowRight: [low + half / 2, high + half / 2],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    this.zoomed([...next, ...(this.zoom?.slice(2) ?? [])]);
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
