// The figures of this moment as tiles: each says its level in a word and a mark, and where its limits are.
import { on } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { count, dollars, percent, seconds } from "./format.js";
import { S } from "./words.js";

const RANK = ["normal", "alert", "critical"];
const worse = (...levels) => RANK[Math.max(...levels.map((level) => Math.max(0, RANK.indexOf(level))))];

// [name, figures => {value, note, level}]
const TILES = [
  ["turns", (f) => ({ value: count(f.turns_per_minute), note: `${count(f.turns.active)} em curso`, level: "normal" })],
  ["errors", (f) => ({
    value: percent(f.error_share ?? 0),
    note: limitsOf(f.limits.error_share, percent),
    level: levelOf(f.levels.errors, f.error_share, f.limits.error_share),
  })],
  ["latency", (f) => ({
    value: pair(f.p50_seconds, f.p95_seconds),
    note: limitsOf(f.limits.p95_seconds, seconds),
    level: levelOf(f.levels.latency, f.p95_seconds, f.limits.p95_seconds),
  })],
  ["queue", queueTile],
  ["refused", (f) => ({
    value: percent(f.refused_share ?? 0),
    note: limitsOf(f.limits.refused_share, percent),
    level: levelOf(f.levels.refused, f.refused_share, f.limits.refused_share),
  })],
  ["throttling", (f) => ({
    value: percent(f.throttled_share ?? 0),
    note: limitsOf(f.limits.throttled_share, percent),
    level: levelOf(f.levels.throttling, f.throttled_share, f.limits.throttled_share),
  })],
  ["memory", (f) => ({
    value: percent(f.memory_ratio),
    note: f.memory_ratio === null ? S.memoryUnknown : limitsOf(f.limits.memory_ratio, percent),
    level: levelOf(f.levels.memory, f.memory_ratio, f.limits.memory_ratio),
  })],
  ["cost", (f) => ({ value: dollars(f.cost.per_hour_usd), note: S.lastHour(dollars(f.cost.last_hour_usd)), level: "normal" })],
  ["circuits", circuitsTile],
  ["instances", instancesTile],
  ["canary", canaryTile],
  ["store", (f) => ({
    value: f.store === null ? "–" : f.store.state === "ok" && f.store.durable ? S.storeOk : f.store.state,
    note: f.store?.detail ?? "",
    level: f.levels.store,
  })],
];

const pair = (one, other) => `${seconds(one).replace(/ s$/, "")} / ${seconds(other)}`;

function limitsOf(limits, text) {
  const known = Object.keys(S.limits).filter((name) => typeof limits?.[name] === "number");
  return known.map((name) => `${S.limits[name]} ${text(limits[name])}`).join(" · ");
}

// What health says of the figure; a gate that would fail is said too, and is no alarm by itself: health asks for more
// than one bad turn.
function levelOf(level, value, limits) {
  const over = typeof value === "number" && typeof limits?.gate === "number" && value > limits.gate;
  return level === "normal" && over ? "gate" : level;
}

function queueTile({ queue, turns, levels, limits }) {
  if (queue === null) return { value: S.of(turns.admitted, turns.max_admitted), note: S.noQueue, level: levels.refused };
  const full = limits.waiting?.alert && queue.waiting >= limits.waiting.alert ? "alert" : "normal";
  return {
    value: S.of(queue.running, queue.max_running),
    note: S.waiting(queue.waiting, queue.max_waiting),
    level: full,
  };
}

function circuitsTile({ circuits, levels }) {
  if (!circuits.length) return { value: "–", note: S.breakerOff, level: "normal" };
  const open = circuits.filter((each) => each.state !== "closed").map((each) => each.model);
  return {
    value: S.of(circuits.length - open.length, circuits.length),
    note: open.length ? S.circuitsOpen(open) : S.circuitsClosed,
    level: worse(levels.circuits, open.length ? "alert" : "normal"),
  };
}

function instancesTile({ instances, fleet_away: away, levels }) {
  const newest = Math.max(...instances.map((each) => each.version));
  const behind = instances.filter((each) => each.version < newest).length;
  const draining = instances.filter((each) => each.draining).length;
  const notes = [
    away && S.fleetAway,
    behind && S.instancesBehind(behind),
    draining && S.instancesDraining(draining),
  ].filter(Boolean);
  return {
    value: count(instances.length),
    note: notes.join(", ") || S.instancesEven,
    level: worse(levels.draining, notes.length ? "alert" : "normal"),
  };
}

function canaryTile({ canary }) {
  if (canary === null) return { value: S.noCanary, note: "", level: "normal" };
  const rollout = canary.rollout?.status === "running" ? canary.rollout : null;
  if (rollout === null && !canary.percent) {
    return { value: S.rollouts[canary.rollout?.status] ?? S.noCanary, note: "", level: "normal" };
  }
  return {
    value: percent((rollout?.percent ?? canary.percent) / 100),
    note: rollout ? S.canaryPhase(rollout.phase, S.gates[rollout.gate] ?? rollout.gate) : S.canaryByHand,
    level: rollout?.gate === "fail" ? "critical" : "normal",
  };
}

const parts = new Map();

export function start() {
  for (const [name] of TILES) {
    const level = h("span", { class: "level" });
    const value = h("span", { class: "value" }, "–");
    const note = h("span", { class: "tile-note" });
    const tile = h("div", { class: "tile", "data-level": "normal", "data-tile": name },
      h("dt", {}, S.tiles[name], " ", level), h("dd", {}, value, note));
    parts.set(name, { tile, level, value, note });
    $("#tiles").append(tile);
  }
  on("live:figures", show);
}

function show(figures) {
  for (const [name, read] of TILES) {
    const { value, note, level } = read(figures);
    const part = parts.get(name);
    part.tile.dataset.level = level in S.levels ? level : "normal";
    put(part.value, value);
    put(part.note, note);
    put(part.level, level === "normal" ? "" : `${S.levelMarks[level] ?? ""} ${S.levels[level] ?? level}`);
  }
}

const put = (element, text) => element.textContent === text || (element.textContent = text);
