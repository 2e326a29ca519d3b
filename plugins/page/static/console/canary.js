// The rollout: where it stands, both cohorts side by side, and what people decide about it.
import { on } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { act, applied } from "./act.js";
import { get, post } from "./api.js";
import { count, dayOf, percent, seconds, short, span } from "./format.js";
import { live } from "./live.js";
import { C } from "./view_words.js";
import { S } from "./words.js";

const EVERY_MS = 10_000;
let timer = 0;
let visible = false;
let before = "";
let drawn = "";

export function start() {
  on("live:figures", ({ canary }) => {
    const running = canary?.rollout?.status === "running";
    const badge = $("#nav-canary");
    badge.hidden = !running && !canary?.percent;
    badge.textContent = running ? `${canary.rollout.percent} %` : `${canary?.percent ?? 0} %`;
    const now = JSON.stringify(canary);
    if (visible && now !== before) load();
    before = now;
  });
}

export function show() {
  visible = true;
  load();
  timer = setInterval(load, EVERY_MS);
}

export function hide() {
  visible = false;
  clearInterval(timer);
}

async function load() {
  const box = $("#canary");
  try {
    const answer = await get("/admin/canary", { limit: 50 });
    // Made anew only when something differs: whoever is about to press a button is not robbed of it.
    const key = JSON.stringify([answer, live.figures?.canary?.percent]);
    if (key === drawn && box.children.length) return;
    drawn = key;
    const focused = document.activeElement?.dataset?.act;
    box.replaceChildren(...drawing(answer));
    if (focused) box.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
  } catch (error) {
    if (error.code === undefined) throw error;
    drawn = "";
    box.replaceChildren(h("p", { class: "field-error", role: "alert" }, error.message));
  }
}

function drawing({ rollout, durable, trail, trail_problem: problem }) {
  const running = rollout?.status === "running";
  const byHand = !running && live.figures?.canary?.percent > 0;
  return [
    !durable && h("p", { class: "note", "data-kind": "error" }, C.notDurable),
    rollout ? rolloutOf(rollout, running) : h("p", { class: "muted" }, C.none),
    byHand && h("p", { class: "note" }, C.byHand),
    h("div", { class: "canary-acts" }, buttons(rollout, running, byHand)),
    ...(problem ? [h("p", { class: "note", "data-kind": "error" }, C.trailProblem, " ", h("span", { lang: "en" }, problem))] : []),
    ...(trail?.length ? [h("h3", {}, C.trail), trailOf(trail)] : []),
  ].filter(Boolean);
}

function buttons(rollout, running, byHand) {
  const make = (name, label, run, look = "") =>
    h("button", { class: `button ${look}`, type: "button", "data-act": `canary ${name}`, onclick: run }, label);
  if (byHand) return [make("clear", C.clear, askClear, "danger")];
  if (!running) return [make("start", C.start, askStart, "primary")];
  const decide = (action, look) => make(action, C[action], () => askDecision(action, rollout), look);
  return [decide("approve", "primary"), decide(rollout.held ? "release" : "hold"), decide("abort", "danger")];
}

function rolloutOf(rollout, running) {
  const { gate, judged } = rollout;
  const seen = C.watched(span(rollout.watched_seconds), span(rollout.window_seconds));
  return h(
    "section",
    { class: "rollout", "data-gate": running ? gate : "over" },
    h("p", { class: "rollout-head" },
      h("strong", {}, S.rollouts[rollout.status] ?? rollout.status),
      ` · ${C.share(rollout.percent)} · ${C.phase(rollout.phase, rollout.phases.length)}`,
      running && ` · ${seen}`),
    running && h("p", { class: "rollout-gate" }, `gate: ${S.gates[gate] ?? gate} · ${C.approvable[rollout.approvable] ?? rollout.approvable}`,
      rollout.held && ` · ${C.held}`),
    rollout.why_not && running && h("p", { lang: "en" }, rollout.why_not),
    rollout.ended_because && h("p", {}, C.ended(""), h("span", { lang: "en" }, rollout.ended_because)),
    h("ul", { class: "plain" }, Object.entries(rollout.block.flags).map(([name, value]) => h("li", {}, h("code", {}, `${name} = ${short(value)}`)))),
    h("p", { class: "muted" }, C.by(rollout.by, rollout.why)),
    h("p", { class: "muted" }, C.phases(rollout.phases.map((each) => `${each.percent} % · ${span(each.seconds)}`).join(" → "))),
    h("h3", {}, C.current),
    grid(C.current, C.currentColumns, Object.entries(rollout.current).map(([cohort, f]) =>
      [C.cohorts[cohort] ?? cohort, count(f.ok), count(f.error), count(f.rejected), seconds(f.p95_seconds)])),
    judged && verdictOf(judged),
  );
}

function verdictOf({ outcome, why, cohorts, at }) {
  const { canary, stable } = cohorts;
  const rows = canary.checks.map((check, index) => [
    C.checks[check.name] ?? check.name,
    checkText(check),
    stable.checks[index] ? checkText(stable.checks[index]) : "–",
    figure(check.name, check.limit),
  ]);
  return h("div", {}, h("h3", {}, `${S.gates[outcome] ?? outcome}, ${dayOf(at)}`), why && h("p", { lang: "en" }, why), grid(C.columns[0], C.columns, rows));
}

const checkText = (check) => `${figure(check.name, check.value)} ${C.outcomes[check.outcome] ?? check.outcome}`;

const figure = (name, value) => (name === "p95" ? seconds(value) : name === "restarts" ? count(value) : percent(value));

function trailOf(trail) {
  const rows = trail.map((each) => [dayOf(each.at), each.by, C.actions[each.action] ?? each.action, each.details?.percent === undefined ? "–" : `${each.details.percent} %`, each.why || "–"]);
  return grid(C.trail, C.trailColumns, rows);
}

function grid(caption, columns, rows) {
  const table = h(
    "table",
    {},
    h("caption", { class: "sr-only" }, caption),
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((text) => h("td", {}, text))))),
  );
  return h("div", { class: "table-box" }, h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": caption }, table));
}

const decided = (action) => (answer) => {
  load();
  if (answer.pending) return { kind: "warning", text: C.pending(answer.pending) };
  return { text: C.done[action], lines: answer.durable ? [] : [C.notDurable], kind: answer.durable ? "good" : "warning" };
};

function askDecision(action, rollout) {
  const next = rollout.phases[rollout.phase]?.percent;
  const title = C.titles[action];
  const after = { approve: next ? C.share(next) : C.phase("–", "–"), hold: C.held, release: C.release, abort: C.share(0) };
  const changes = action === "approve" && !next
    ? Object.entries(rollout.block.flags).map(([name, to]) => ({ name, from: C.share(rollout.percent), to }))
    : [{ name: C.cohorts.canary, from: rollout.held && action === "release" ? C.held : C.share(rollout.percent), to: after[action] }];
  act({
    title: typeof title === "function" ? title(!next) : title,
    button: C[action],
    what: [action === "approve" ? C.what.approve(next) : C.what[action], action === "approve" && rollout.why_not].filter(Boolean),
    undo: C.undo[action],
    changes,
    danger: action === "abort",
    run: ({ reason }) => post("/admin/canary", { action }, { reason }),
    done: decided(action),
  });
}

function askStart() {
  const flags = h("textarea", { id: "act-canary-flags", rows: 3, spellcheck: "false", placeholder: "RETRY_ENABLED=true" });
  flags.autofocus = true;
  const include = h("input", { id: "act-canary-include", type: "text", autocomplete: "off" });
  act({
    title: C.start,
    button: C.start,
    what: C.startWhat,
    undo: C.startUndo,
    fields: [
      h("div", { class: "field" }, h("label", { for: "act-canary-flags" }, C.flags), flags),
      h("div", { class: "field" }, h("label", { for: "act-canary-include" }, C.include), include),
    ],
    changes: () => {
      try {
        return Object.entries(assigned(flags.value)).map(([name, to]) => ({ name, from: "–", to }));
      } catch {
        return [];
      }
    },
    run: async ({ reason }) => {
      const keys = include.value.split(",").map((name) => name.trim()).filter(Boolean);
      return post("/admin/canary", { action: "start", flags: assigned(flags.value), include: keys }, { reason });
    },
    done: decided("start"),
  });
}

// Lines of NAME=value as an object. Throws the sentence that says what is wrong.
function assigned(text) {
  const found = {};
  for (const line of text.split("\n").map((each) => each.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    const name = line.slice(0, at).trim();
    const value = line.slice(at + 1).trim();
    if (at < 1 || !value) throw C.malformed(line);
    if (name in found) throw C.twice(name);
    found[name] = value;
  }
  if (!Object.keys(found).length) throw C.noFlags;
  return found;
}

function askClear() {
  const version = live.figures?.version;
  act({
    title: C.clear,
    button: C.clear,
    what: C.clearWhat,
    undo: C.clearUndo,
    changes: [{ name: C.cohorts.canary, from: C.share(live.figures?.canary?.percent ?? 0), to: C.share(0) }],
    danger: true,
    run: ({ reason }) => post("/admin/reload-flags", { canary: null }, { reason, ifVersion: version }),
    done: (answer) => {
      load();
      return applied(answer);
    },
  });
}
