// What the plots show: series made of the points of ten seconds that the server keeps of the last hour.
import { decimal, count, dollars, percent, seconds } from "./format.js";
import { S } from "./words.js";

const PER_MINUTE = 6;
const short = (value) => new Intl.NumberFormat("pt-BR", { maximumFractionDigits: 3 }).format(value);

// The sum over the last `width` points, at each of them.
function rolling(column, width) {
  let sum = 0;
  return column.map((value, index) => {
    sum += value ?? 0;
    if (index >= width) sum -= column[index - width] ?? 0;
    return sum;
  });
}

// A share over the last `width` points; null where there was nothing to count.
function share(parts, wholes, width) {
  const whole = rolling(wholes, width);
  return rolling(parts, width).map((part, index) => (whole[index] > 0 ? Math.max(0, part) / whole[index] : null));
}

const added = (one, other) => one.map((value, index) => value + other[index]);

// `series` gives columns by name, `limits` the name among the figures' limits, `main` which column they are of.
export const PLOTS = [
  {
    key: "turns", text: decimal, least: 6,
    series: (hour) => ({ all: rolling(hour.turns, PER_MINUTE), failed: rolling(hour.failed, PER_MINUTE) }),
  },
  {
    key: "errors", text: percent, least: 0.012, limits: "error_share",
    series: (hour) => ({ share: share(hour.failed, hour.turns, PER_MINUTE) }),
  },
  {
    key: "latency", text: seconds, least: 2, limits: "p95_seconds", main: "p95",
    series: (hour) => ({ p95: hour.p95_seconds, p50: hour.p50_seconds }),
  },
  {
    key: "queue", text: count, least: 6, limits: "waiting", main: "waiting",
    series: (hour) => ({ waiting: hour.waiting, busy: hour.running }),
  },
  {
    key: "refused", text: percent, least: 0.06, limits: "refused_share",
    series: (hour) => ({ share: share(hour.refused, added(hour.turns, hour.refused), PER_MINUTE) }),
  },
  {
    key: "throttled", text: percent, least: 0.06, limits: "throttled_share",
    series: (hour) => ({ share: share(hour.throttled, hour.requests, 5 * PER_MINUTE) }),
  },
  { key: "memory", text: percent, least: 1, limits: "memory_ratio", series: (hour) => ({ share: hour.memory_ratio }) },
  {
    key: "cost", text: dollars, tick: short, least: 0.01,
    series: (hour) => ({ money: rolling(hour.cost_usd, 60).map((sum) => Math.max(0, sum) * 6) }),
  },
];

export const labelOf = (name) => S.plots[name] ?? name;

// The limits of a plot that are known, lowest first: [[name, value]].
export function limitsOf(plot, figures) {
  const known = Object.entries(figures?.limits?.[plot.limits] ?? {}).filter(([, value]) => typeof value === "number");
  return known.sort(([, one], [, other]) => one - other);
}

export function mainOf(plot, columns) {
  return columns[plot.main ?? Object.keys(columns)[0]];
}

// One sentence for whoever does not see the plot, and for whoever reads it in three seconds.
export function summaryOf(plot, at, columns, limits) {
  const column = mainOf(plot, columns);
  const known = column.map((value, index) => [value, at[index]]).filter(([value]) => typeof value === "number");
  if (!known.length) return { text: S.plots.nothing, over: false };
  const [most, when] = known.reduce((best, each) => (each[0] > best[0] ? each : best));
  const now = column.at(-1);
  const said = [S.plots.summary(plot.text(now), plot.text(most), when)];
  const over = limits.filter(([, value]) => now > value).at(-1);
  const passed = limits.filter(([, value]) => most > value).at(-1);
  const [name, value] = over ?? passed ?? limits[0] ?? [];
  if (name) {
    const verb = over ? S.plots.over : passed ? S.plots.passed : S.plots.under;
    said.push(verb(S.plots.said[name], plot.text(value)));
  }
  return { text: `${said.join("; ")}.`, over: Boolean(over) };
}
