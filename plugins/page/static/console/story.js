// The story of one turn: what is known of it, and its steps as a waterfall. No contents: the server keeps none.
import { h } from "../app/dom.js";
import { count, dollars, seconds } from "./format.js";
import { T } from "./view_words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const LEAST = 6;
const FAILED = new Set(["throttled", "server_error", "timeout", "connection", "truncated", "refused", "error"]);

export function storyOf(turn) {
  const total = Math.max(turn.duration, ...turn.steps.map((step) => step.start + (step.duration ?? 0)), 0.001);
  return h(
    "div",
    { class: "story" },
    h("h3", {}, T.steps),
    turn.steps.length
      ? h("ol", { class: "waterfall" }, turn.steps.map((step) => stepOf(step, total, turn.status === "running")))
      : h("p", { class: "muted" }, T.noSteps),
    turn.steps_left_out > 0 && h("p", { class: "muted" }, T.leftOut(turn.steps_left_out)),
    h("dl", { class: "facts" }, factsOf(turn).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))),
  );
}

function factsOf(turn) {
  const { input_tokens: input, output_tokens: output, cache_read_tokens: read, cache_write_tokens: written } = turn.tokens;
  const texts = {
    ...turn,
    queue_wait: seconds(turn.queue_wait),
    iterations: count(turn.iterations),
    cost: dollars(turn.cost_usd),
    tokens: [input, output, read, written].map(count).join(" / "),
  };
  const named = Object.entries(T.facts).map(([key, name]) => [name, texts[key]]);
  return named.filter(([, text]) => text !== "" && text !== null && text !== undefined).map(([name, text]) => [name, String(text)]);
}

function stepOf(step, total, running) {
  const open = step.duration === null && running && ["running", "waiting"].includes(step.outcome);
  const length = open ? total - step.start : (step.duration ?? 0);
  const state = FAILED.has(step.outcome) || step.kind === "stop" ? "failed" : open ? "open" : "good";
  return h(
    "li",
    { class: "step", "data-kind": step.kind, "data-state": state },
    h("span", { class: "step-what" }, whatOf(step)),
    bar(step, length, total),
    h("span", { class: "step-when" }, T.at(seconds(step.start), length ? seconds(length) : "")),
  );
}

function whatOf(step) {
  const kind = T.kinds[step.kind] ?? step.kind;
  const details = {
    attempt: () => [`${kind} ${step.number}`, step.model, step.probe && T.probe],
    retry: () => [kind, step.model, step.code],
    fallback: () => [`${kind}: ${step.model} → ${step.to_model}`],
    tool: () => [`${kind} ${step.name}`, step.reason],
    stop: () => [kind, step.reason],
  }[step.kind]?.() ?? [kind];
  const outcome = step.outcome && (T.outcomes[step.outcome] ?? step.outcome);
  const code = step.kind === "attempt" && step.code;
  const first = typeof step.first_delta === "number" && T.first(seconds(step.first_delta));
  return [...details, outcome, code, first].filter(Boolean).join(" · ");
}

// Said by the text beside it.
function bar(step, length, total) {
  const svg = element("svg", { class: "step-bar", viewBox: `0 0 ${WIDTH} 14`, preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(element("rect", { class: "track", x: 0, y: 6, width: WIDTH, height: 2 }));
  const x = Math.min(WIDTH - LEAST, (step.start / total) * WIDTH);
  const width = Math.max(LEAST, Math.min(WIDTH - x, (length / total) * WIDTH));
  svg.append(element("rect", { class: "part", x, y: 1, width, height: 12 }));
  if (typeof step.first_delta === "number") {
    svg.append(element("rect", { class: "first", x: Math.min(WIDTH - 2, (step.first_delta / total) * WIDTH), y: 0, width: 3, height: 14 }));
  }
  return svg;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
