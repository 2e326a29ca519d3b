// The top of the page: is it well, why, what to do, how fresh that is, and the kill switch.
import { on } from "../app/bus.js";
import { $, announce, h } from "../app/dom.js";
import { act, applied } from "./act.js";
import { post } from "./api.js";
import { live, silentFor, unjudgedFor } from "./live.js";
import { S } from "./words.js";

// Figures come every second: what is older than this is no longer now.
const STALE_SECONDS = 3;
const UNKNOWN_SECONDS = 12;
// A reason counts for a minute after it was found: Bedrock is on again, and health remembers.
const BACK = { reason: "bedrock_back", state: "degraded", text: "", act: false, page: "" };
let timer = 0;
let reasonsShown = "";
// The state that a screen reader was told of last.
let saidOf = "";
// What the server said last, or null.
let judged = null;

export function start() {
  clearInterval(timer);
  timer = setInterval(freshen, 1000);
  freshen();
}

export function stop() {
  clearInterval(timer);
  saidOf = "";
  $("#verdict").dataset.state = "unknown";
  set("#verdict-mark", S.marks.unknown);
  set("#verdict-state", S.states.unknown);
  set("#verdict-why", "");
  showReasons([]);
}

on("live:judgement", (figures) => {
  judged = figures;
  const { health } = figures;
  const why = health.why.map((each) => (each.reason === "bedrock_off" && figures.bedrock_enabled ? BACK : each));
  const minute = health.last_minute;
  $("#verdict").dataset.state = health.state in S.states ? health.state : "unknown";
  set("#verdict-mark", S.marks[health.state] ?? S.marks.unknown);
  set("#verdict-state", S.states[health.state] ?? S.states.unknown);
  const calm = minute.turns ? S.good(minute.failed, minute.turns) : S.quiet;
  set("#verdict-why", why.length ? S.because(named(why[0].reason), why.length - 1) : calm);
  showReasons(why);
  told(health.state);
  set("#where", S.where(figures));
  document.title = `${S.marks[health.state] ?? ""} ${S.states[health.state] ?? ""} · ROM Console`;
  showKill(figures);
  freshen();
});

on("live:state", freshen);

// Said once, when it changes: whoever does not look is told.
function told(state) {
  if (state === saidOf) return;
  if (saidOf) announce(`${S.states[state] ?? state}. ${$("#verdict-why").textContent}`);
  saidOf = state;
}

const named = (reason) => S.reasons[reason]?.[0] ?? reason;

// Made anew only when they change: whoever reads them is not interrupted every second.
function showReasons(why) {
  const key = JSON.stringify(why);
  if (key === reasonsShown) return;
  reasonsShown = key;
  $("#reasons").replaceChildren(
    ...why.map((each) =>
      h(
        "li",
        { "data-state": each.state },
        h("p", {}, h("strong", {}, named(each.reason)), " ", h("span", { lang: "en" }, each.text)),
        each.act && h("p", { class: "todo" }, S.todo + (S.reasons[each.reason]?.[1] ?? ""), " ", h("code", {}, S.page(each.page))),
      ),
    ),
  );
}

function freshen() {
  const silent = silentFor();
  const fresh = silent !== null && silent <= STALE_SECONDS && live.state === "live";
  const line = $("#freshness");
  line.dataset.state = fresh ? "live" : live.state === "connecting" ? "connecting" : "stale";
  document.documentElement.classList.toggle("stale", silent !== null && !fresh);
  set("#freshness", fresh ? S.fresh.live : staleText(silent));
  // What was true is not said of now.
  const unjudged = unjudgedFor();
  if (unjudged !== null && unjudged > UNKNOWN_SECONDS && !fresh) {
    $("#verdict").dataset.state = "unknown";
    set("#verdict-mark", S.marks.unknown);
    set("#verdict-state", S.states.unknown);
    told("unknown");
    document.title = `${S.marks.unknown} ${S.states.unknown} · ROM Console`;
  }
}

function staleText(silent) {
  if (live.state === "off") return S.fresh.off;
  if (live.state === "connecting" && silent === null) return S.fresh.connecting;
  const since = silent === null ? S.fresh.never : S.fresh.stale(Math.round(silent));
  return live.why === "overloaded" ? `${since}. ${S.fresh.full}` : `${since}, ${S.fresh.again}`;
}

// The text is only touched when it differs: a live region says each change.
function set(selector, text) {
  const element = $(selector);
  if (element.textContent !== text) element.textContent = text;
}

function showKill(figures) {
  const button = $("#kill");
  button.disabled = false;
  button.dataset.on = String(figures.bedrock_enabled);
  set("#kill", figures.bedrock_enabled ? S.kill.off : S.kill.on);
}

$("#kill").addEventListener("click", () => {
  const wanted = judged.bedrock_enabled === false;
  const { version } = judged;
  act({
    title: wanted ? S.kill.onTitle : S.kill.offTitle,
    button: wanted ? S.kill.on : S.kill.off,
    what: wanted ? S.kill.onWhat : S.kill.offWhat,
    undo: wanted ? S.kill.onUndo : S.kill.offUndo,
    changes: [{ name: "BEDROCK_ENABLED", from: !wanted, to: wanted }],
    reasons: wanted ? S.kill.onReasons : S.kill.offReasons,
    danger: !wanted,
    // Off waits for nobody's version: it counts at once.
    run: ({ reason }) =>
      post("/admin/reload-flags", { BEDROCK_ENABLED: wanted }, { reason, ifVersion: wanted ? version : undefined }),
    done: applied,
  });
});
