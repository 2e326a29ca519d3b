// The last hour as plots: red from where a gate or an alert would be, each with a sentence and a table.
import { on } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { minuteOf } from "./format.js";
import { live } from "./live.js";
import { PLOTS, labelOf, limitsOf, summaryOf } from "./series.js";
import { S } from "./words.js";

const HEIGHT = 132;
const STEP = 30;
// A line of so few points would hardly be seen.
const FEW = 12;
const LABEL = 13;
const drawn = new Map();

export function start() {
  for (const plot of PLOTS) {
    const box = h("div", { class: "plot-canvas", role: "img", "aria-label": S.plots[plot.key] });
    const legend = h("p", { class: "plot-legend", "aria-hidden": "true" });
    const summary = h("p", { class: "plot-summary" });
    const rows = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `${S.plots[plot.key]}: ${S.plots.table}` });
    const details = h("details", {}, h("summary", {}, S.plots.table), rows);
    details.addEventListener("toggle", () => details.open && tabulate(plot, rows));
    const figure = h("figure", { class: "plot", "data-plot": plot.key },
      h("figcaption", {}, S.plots[plot.key]), legend, box, summary, details);
    drawn.set(plot.key, { plot, box, legend, summary, rows, details, figure, chart: null });
    $("#plots").append(figure);
  }
  const sizes = new ResizeObserver(() => [...drawn.values()].forEach(fit));
  sizes.observe($("#plots"));
  on("live:hour", showAll);
  // The limits come with the figures, after the hour.
  let limits = "";
  on("live:figures", (figures) => {
    const now = JSON.stringify(figures.limits);
    if (now !== limits) showAll();
    limits = now;
  });
  const redraw = () => {
    for (const each of drawn.values()) discard(each);
    showAll();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
}

function discard(each) {
  each.chart?.destroy();
  each.chart = null;
}

function showAll() {
  if (live.hour === null || typeof uPlot === "undefined") return;
  for (const each of drawn.values()) show(each);
}

function show(each) {
  const { plot } = each;
  const columns = plot.series(live.hour);
  const limits = limitsOf(plot, live.figures);
  const { text, over } = summaryOf(plot, live.hour.at, columns, limits);
  each.figure.dataset.over = String(over);
  if (each.summary.textContent !== text) each.summary.textContent = text;
  each.box.setAttribute("aria-label", `${S.plots[plot.key]}. ${text}`);
  if (each.details.open) tabulate(plot, each.rows);
  if (each.box.clientWidth === 0) return;
  const data = [live.hour.at, ...Object.values(columns)];
  each.limits = limits;
  if (each.chart) each.chart.setData(data);
  else create(each, data, Object.keys(columns));
}

function fit(each) {
  const width = each.box.clientWidth;
  if (width === 0) return;
  if (each.chart === null) {
    if (live.hour) show(each);
  } else if (each.chart.width !== width) {
    each.chart.setSize({ width, height: HEIGHT });
  }
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function create(each, data, names) {
  const { plot } = each;
  const [ink, line, danger, accent, second] = ["--muted", "--line", "--danger", "--accent", "--brass"].map(colour);
  const strokes = names.map((name, index) => (name === "failed" ? danger : index === 0 ? accent : second));
  const main = names.indexOf(plot.main ?? names[0]);
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const series = names.map((name, index) => ({
    label: labelOf(name),
    stroke: index === main && plot.limits ? (chart) => redAbove(chart, each, strokes[index], danger) : strokes[index],
    width: 2,
    dash: index === 0 ? [] : [5, 3],
    points: { show: (chart) => chart.data[0].length < FEW, size: 4 },
    spanGaps: false,
  }));
  each.chart = new uPlot(
    {
      width: each.box.clientWidth,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: true, range: (_chart, _low, high) => [(high ?? Date.now() / 1000) - 3600, high ?? Date.now() / 1000] },
        y: { range: (_chart, _low, high) => [0, topOf(each, high)] },
      },
      axes: [
        { ...axis, space: 60, size: 22, values: (_chart, ticks) => ticks.map(minuteOf) },
        { ...axis, size: 58, space: 26, values: (_chart, ticks) => ticks.map(plot.tick ?? plot.text) },
      ],
      series: [{}, ...series],
      hooks: { drawAxes: [(chart) => drawLimits(chart, each, danger)] },
    },
    data,
    each.box,
  );
  each.legend.replaceChildren(...(names.length > 1 ? names.map(keyOf) : []));
}

const keyOf = (name, index) => h("span", { class: `key key-${name === "failed" ? "failed" : index}` }, labelOf(name));

// The lowest limit is always in sight: how far it is says how well things are.
function topOf({ plot, limits = [] }, high) {
  return Math.max(plot.least, (high ?? 0) * 1.12, (limits[0]?.[1] ?? 0) * 1.25);
}

function drawLimits(chart, { plot, limits = [] }, danger) {
  if (!limits.length) return;
  const { ctx, bbox } = chart;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = danger;
  ctx.strokeStyle = danger;
  const lowest = chart.valToPos(limits[0][1], "y", true);
  ctx.globalAlpha = 0.1;
  ctx.fillRect(bbox.left, bbox.top, bbox.width, lowest - bbox.top);
  ctx.globalAlpha = 1;
  ctx.lineWidth = scale;
  ctx.setLineDash([6 * scale, 4 * scale]);
  ctx.font = `${10 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  let lower = Infinity;
  for (const value of new Set(limits.map(([, each]) => each))) {
    const names = limits.filter(([, each]) => each === value).map(([name]) => S.limits[name]);
    const y = Math.round(chart.valToPos(value, "y", true));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    // A label that would cover the one below it is left out: the sentence below the plot names what counts.
    const room = LABEL * scale;
    if (lower - y < room || y < bbox.top) continue;
    lower = y;
    const above = y - bbox.top > room;
    ctx.textBaseline = above ? "bottom" : "top";
    ctx.fillText(`${names.join(", ")} ${plot.text(value)}`, bbox.left + 4 * scale, y + (above ? -2 : 2) * scale);
  }
  ctx.restore();
}

// A stroke that turns red where the lowest limit is passed.
function redAbove(chart, { limits = [] }, normal, danger) {
  const { top, height } = chart.bbox;
  if (!limits.length || !height) return normal;
  const share = (chart.valToPos(limits[0][1], "y", true) - top) / height;
  if (!(share > 0 && share < 1)) return share >= 1 ? danger : normal;
  const gradient = chart.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, danger);
  gradient.addColorStop(share, danger);
  gradient.addColorStop(share, normal);
  gradient.addColorStop(1, normal);
  return gradient;
}

// A row for every five minutes: the highest value in them, as a plot shows it.
function tabulate(plot, box) {
  if (live.hour === null) return;
  const columns = plot.series(live.hour);
  const names = Object.keys(columns);
  const { at } = live.hour;
  const rows = [];
  for (let end = at.length; end > 0; end -= STEP) {
    const from = Math.max(0, end - STEP);
    const highest = names.map((name) => {
      const known = columns[name].slice(from, end).filter((value) => typeof value === "number");
      return plot.text(known.length ? Math.max(...known) : null);
    });
    rows.push(h("tr", {}, h("th", { scope: "row" }, `${minuteOf(at[from])}–${minuteOf(at[end - 1] + 10)}`), highest.map((text) => h("td", {}, text))));
  }
  const head = [S.plots.at, ...names.map(labelOf)].map((text) => h("th", { scope: "col" }, text));
  box.replaceChildren(
    h("table", {}, h("caption", { class: "sr-only" }, S.plots[plot.key]), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}
