// What plotly is given: traces and layout, made of the data of a plot. Pure functions.

import { shown } from "./dom.js";

const DASHES = ["solid", "dash", "dot", "dashdot"];

/** Text for plotly, which reads some HTML in texts: here it finds none. */
export function plain(text, most = 60) {
  return shown(text, most).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function withUnit(name, unit) {
  return unit ? `${plain(name, 50)} (${plain(unit, 20)})` : plain(name, 50);
}

/** Traces of the first column of several runs, each with its label. */
export function overlayTraces(plot, colours) {
  return plot.overlays.flatMap(({ plot: each, label }, number) =>
    lineTraces({ ...each, complex: plot.complex }, colours).slice(0, 1).map((trace) => ({
      ...trace, name: plain(label, 80),
      line: { ...trace.line, color: colours.lines[number % 8], dash: DASHES[Math.floor(number / 8) % 4] },
      marker: { ...trace.marker, color: colours.lines[number % 8] },
      hovertemplate: trace.hovertemplate.replace(/<extra>.*<\/extra>/, () => `<extra>${plain(label, 80)}</extra>`),
    })));
}

/** Traces of a line, or of several: one a column; complex numbers have two. */
export function lineTraces(plot, colours) {
  const { data, facts } = plot;
  const names = columnNames(facts, plot.complex);
  const isHistory = facts.kind === "history";
  return data.columns.map((column, number) => {
    const few = column.length <= 200;
    const x = data.along(number, facts.offset ?? 0);
    return {
      type: "scatter",
      mode: few ? "lines+markers" : "lines",
      name: names[number] ?? "",
      x: isHistory ? Array.from(x, (each) => new Date(1000 * each)) : x,
      y: data.values(number),
      line: { color: colours.lines[number % 8], width: 1.5, dash: DASHES[Math.floor(number / 8) % 4] },
      marker: { color: colours.lines[number % 8], size: 4 },
      connectgaps: false,
      hovertemplate: `%{y${facts.precision === null || facts.precision === undefined ? ":.6g" : `:.${facts.precision}f`}} ${plain(facts.unit ?? "", 20)}<extra>${names[number] ?? ""}</extra>`,
    };
  });
}

function columnNames(facts, complex) {
  const count = facts.columns ?? 1;
  const parts = complex === "mag_phase" ? ["|·|", "phase"] : ["re", "im"];
  if (String(facts.dtype).startsWith("complex")) {
    return Array.from({ length: 2 * count }, (_, n) => (count > 1 ? `${Math.floor(n / 2)} ${parts[n % 2]}` : parts[n % 2]));
  }
  return count > 1 ? Array.from({ length: count }, (_, number) => String(number)) : [""];
}

export function imageTraces(plot, colours) {
  const { image, facts } = plot;
  const rows = [];
  for (let row = 0; row < image.rows; row += 1) rows.push(image.data.subarray(row * image.columns, (row + 1) * image.columns));
  return [
    {
      type: "heatmap",
      z: rows,
      dx: facts.step,
      dy: facts.step,
      colorscale: "Viridis",
      zsmooth: false,
      hovertemplate: `column %{x}, row %{y}: %{z} ${plain(facts.unit ?? "", 20)}<extra></extra>`,
      colorbar: { thickness: 12, outlinewidth: 0, tickfont: { color: colours.muted }, title: { text: plain(facts.unit ?? "", 20) } },
    },
  ];
}

export function histogramTraces(plot, colours) {
  const [places, counts] = plot.histogram;
  return [
    {
      type: "bar", x: places, y: counts, width: 0.9 * plot.facts.width, marker: { color: colours.lines[0] },
      hovertemplate: "%{x}: %{y} times<extra></extra>",
    },
  ];
}

/** The layout of a plot. `names`: its dataset, and its axis. */
export function layoutOf(plot, names, colours) {
  const { facts } = plot;
  const axis = (title) => ({
    title: { text: title, standoff: 6 }, color: colours.muted, gridcolor: colours.grid, zerolinecolor: colours.edge,
    linecolor: colours.edge, automargin: true, exponentformat: "SI", nticks: 7, tickangle: 0,
  });
  const layout = {
    margin: { l: 50, r: 16, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colours.text },
    hoverlabel: { bgcolor: colours.back, bordercolor: colours.edge, font: { color: colours.text } },
    showlegend: Boolean(plot.overlays) || (plot.data?.columns.length ?? 0) > 1,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    dragmode: "zoom",
    xaxis: axis(""),
    yaxis: axis(""),
  };
  if (facts.kind === "image") {
    const aspect = facts.columns / Math.max(facts.rows, 1);
    Object.assign(layout.xaxis, { title: { text: "column" }, constrain: "domain" });
    Object.assign(layout.yaxis, { title: { text: "row" }, autorange: "reversed", constrain: "domain" });
    if (aspect < 4 && aspect > 0.25) layout.yaxis.scaleanchor = "x";
  } else if (facts.kind === "histogram") {
    layout.xaxis.title.text = withUnit(names.dataset, facts.unit);
    layout.yaxis.title.text = `occurrences of ${facts.rows}`;
  } else {
    layout.hovermode = "x unified";
    layout.xaxis.title.text = facts.kind === "history" ? "" : names.axis ? withUnit(names.axis, facts.axis_unit) : "index";
    layout.yaxis.title.text = withUnit(names.dataset, facts.unit);
    Object.assign(layout.xaxis, { showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "dot", spikecolor: colours.muted });
    if (plot.log.includes("x") && facts.kind !== "history") layout.xaxis.type = "log";
    if (plot.log.includes("y")) layout.yaxis.type = "log";
  }
  return layout;
}
