// The figures as they come: one stream of GET /admin/events, taken up again when it breaks.
import { emit, on } from "../app/bus.js";
import { events } from "../app/stream.js";
import { get, open } from "./api.js";

const POINTS = 360;
// Figures come every second, so a silence of this length is a connection that is no more.
const DEAD_MS = 12_000;
const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 10_000;
// The plugin is off, or as many as it bears read along already.
const WITHOUT_FIGURES = new Set(["plugin_disabled", "overloaded"]);

// `state`: connecting, live, broken (`why`: a code, it is tried again), off (plugin operator is off; tried again too).
// `heardAt` is when the last figures came, by performance.now(), `judgedAt` when somebody last said whether it is well; 0
// for never.
const NOTHING = { state: "connecting", why: "", figures: null, hour: null, heardAt: 0, judgedAt: 0 };
export const live = { ...NOTHING };

let stopped = new AbortController();
let wake = () => {};

export function start() {
  stopped = new AbortController();
  Object.assign(live, NOTHING);
  follow(stopped.signal);
}

export function stop() {
  stopped.abort();
  wake();
}

const since = (moment) => (moment ? (performance.now() - moment) / 1000 : null);

// Seconds; null for never.
export const silentFor = () => since(live.heardAt);
export const unjudgedFor = () => since(live.judgedAt);

async function follow(signal) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    const before = live.heardAt;
    try {
      await read(signal);
      live.why = live.why || "cut";
    } catch (error) {
      if (signal.aborted) return;
      live.why = typeof error.code === "string" ? error.code : "cut";
    }
    if (signal.aborted) return;
    live.state = live.why === "plugin_disabled" ? "off" : "broken";
    emit("live:state", live);
    if (WITHOUT_FIGURES.has(live.why)) await judge(signal);
    if (live.heardAt !== before) failures = 0;
    await pause(Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.8 + 0.4 * Math.random()));
  }
}

// Whether it is well can be asked without the figures, and the kill switch needs none.
async function judge(signal) {
  try {
    const status = await get("/admin/status", { signal });
    const { id: instance = "" } = status.instances.find((each) => each.self) ?? {};
    live.judgedAt = performance.now();
    emit("live:judgement", { ...status, instance });
  } catch {
    // The next try says why.
  }
}

async function read(signal) {
  const one = new AbortController();
  const end = () => one.abort();
  signal.addEventListener("abort", end);
  let dead = setTimeout(end, DEAD_MS);
  try {
    live.why = "";
    const response = await open("/admin/events", { signal: one.signal });
    for await (const { event, data } of events(response)) {
      clearTimeout(dead);
      dead = setTimeout(end, DEAD_MS);
      heard(event, data);
    }
  } finally {
    clearTimeout(dead);
    signal.removeEventListener("abort", end);
    one.abort();
  }
}

function heard(event, data) {
  if (event === "hour") {
    live.hour = data;
    emit("live:hour", live.hour);
  } else if (event === "point") {
    append(data);
    emit("live:hour", live.hour);
  } else if (event === "figures") {
    Object.assign(live, { figures: data, heardAt: performance.now(), judgedAt: performance.now(), state: "live" });
    emit("live:judgement", data);
    emit("live:figures", data);
    emit("live:state", live);
  } else if (event === "end") {
    live.why = data.reason;
  }
}

function append(point) {
  for (const [name, value] of Object.entries(point)) {
    const column = live.hour?.[name];
    if (!Array.isArray(column)) continue;
    column.push(value);
    if (column.length > POINTS) column.shift();
  }
}

const pause = (milliseconds) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });

// Without a stream nobody tells what an action has brought about: it is asked.
on("act:done", () => live.state !== "live" && wake());
// Whoever comes back to the page, or to the network, does not wait.
addEventListener("online", () => wake());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
