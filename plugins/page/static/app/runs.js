// Answers that go on at the server, whoever reads them (docs/conversations.md): a connection that is cut is taken up after
// the last event that came, a long analysis is there when one comes back.
import { AnswerView } from "./answer.js";
import { ApiError, call, getJson, networkError } from "./api.js";
import { on } from "./bus.js";
import { follow, isRunning } from "./chat.js";
import { conversation, take } from "./conversation.js";
import { frame, show } from "./dialogs.js";
import { $, announce, h } from "./dom.js";
import { F } from "./feature_strings.js";
import { has, session } from "./session.js";
import { address as conversationAddress, listed, open, titleOf } from "./side.js";
import { cutError, events, transport } from "./stream.js";
import { S } from "./strings.js";

const FIRST_MS = 500;
const MOST_MS = 15_000;
// Beyond EXHAUSTIVE_DEADLINE_SECONDS (900) as it comes.
const PATIENCE_MS = 20 * 60_000;
const POLL_MS = 4000;
const KEPT = "rom.run";
const ACTIVE = ["queued", "running"];
const T = F.runs;

let parts = {};
let known = [];
let seen = new Set();
let ready = new Set();
let timer = 0;
let long = false;

const address = (id = "", end = "") => {
  const user = session.name ? `?${new URLSearchParams({ user: session.name })}` : "";
  return `/api/runs${id && `/${encodeURIComponent(id)}`}${end}${user}`;
};

export function start() {
  build();
  const plain = { stop: transport.stop };
  transport.send = (body, signal, turn) => asked(body, signal, turn);
  transport.stop = (turn) => (turn.run ? cancel(turn.run).catch(() => {}) : plain.stop(turn));
  on("turn:prepare", ({ body }) => {
    if (long) body.mode = "exhaustive";
  });
  on("turn:started", (turn) => {
    if (turn.body.mode !== "exhaustive") return;
    turn.view.note(T.leave, T.leaveTitle, "good");
    choose(false);
  });
  on("turn:ended", (turn) => {
    if (turn.run && (turn.result || turn.error || turn.stopped)) seen.add(turn.run);
    look();
  });
  on("conversation:opened", ({ id, messages }) => takeUp(id, messages.findLast(({ role }) => role === "user")));
  on("conversation:missing", ({ id }) => {
    const { conversation: of, question } = kept();
    if (of !== id || isRunning()) return;
    take(id);
    takeUp(id, { text: question, attachments: [] });
  });
  on("session:opened", look);
  on("session:closed", () => {
    clearTimeout(timer);
    keep(null);
    known = [];
    seen = new Set();
    ready = new Set();
    draw();
  });
  window.addEventListener("offline", () => isRunning() && announce(T.offline));
  window.addEventListener("online", () => {
    if (isRunning()) announce(T.online);
    look();
  });
  document.addEventListener("visibilitychange", () => document.hidden || look());
  look();
}

function build() {
  const toggle = h("button", { id: "long", class: "button quiet long", type: "button", "aria-pressed": "false", title: T.longHint }, T.long);
  toggle.addEventListener("click", () => choose(!long));
  $("#composer-tools").append(toggle);
  const badge = h("span", { class: "badge" });
  const button = h("button", { id: "runs", class: "button runs-button", type: "button", hidden: true, onclick: list }, badge);
  $("#bar-actions").append(button);
  parts = { toggle, badge, button };
}

function choose(wanted) {
  long = wanted;
  parts.toggle.setAttribute("aria-pressed", String(long));
}

// A question as a run: its events, each once, however often the connection is cut.
async function* asked(body, signal, turn) {
  const before = new Set(known.map(({ id }) => id));
  const begin = async () => events(await transport.post({ ...body, background: true }, signal, turn));
  yield* whole(begin, turn, signal, () => begun(body, before, signal));
}

const again = (turn, signal) => async () => {
  const headers = turn.last ? { "Last-Event-ID": turn.last } : {};
  const response = await call(address(turn.run, "/events"), { headers, signal });
  // 204: it has ended, and there is no more of it.
  if (response.status === 204) throw new ApiError({ message: S.errors.cut, code: "ended", requestId: turn.requestId });
  return events(response);
};

// The run that a question has begun of which no answer came back, "" if it has begun none. Nobody is asked for long.
async function begun(body, before, signal) {
  for (const wait of [0, FIRST_MS, 2 * FIRST_MS, 4 * FIRST_MS]) {
    await pause(wait, signal);
    try {
      const { runs } = await getJson(address(), { signal });
      const fresh = runs.filter(({ id, conversation_id: of }) => !before.has(id) && (!body.conversation_id || of === body.conversation_id));
      if (fresh.length !== 1) return "";
      const found = await getJson(conversationAddress(fresh[0].conversation_id), { signal });
      return found.messages.findLast(({ role }) => role === "user")?.text === body.message ? fresh[0].id : "";
    } catch (error) {
      // A conversation is there once its run has begun.
      if (!passes(error) && error.status !== 404) return "";
    }
  }
  return "";
}

// `find` looks for the run of a question of whose answer nothing came.
async function* whole(begin, turn, signal, find = () => "") {
  let open = begin;
  let failures = 0;
  let since = 0;
  for (;;) {
    try {
      for await (const one of await open()) {
        if (one.event === "start") {
          turn.run = one.data.run_id ?? turn.run;
          turn.of = one.data.conversation_id;
          keep(turn);
        }
        if (isOld(one.id, turn.last)) continue;
        if (one.id) turn.last = one.id;
        failures = 0;
        yield one;
        if (one.event === "done" || one.event === "error") return keep(null);
      }
      if (!turn.run) throw cutError(turn.requestId);
    } catch (error) {
      turn.run ??= wasSent(error) && has("conversations") && navigator.onLine ? await find() : "";
      if (!turn.run || !(passes(error) || wasSent(error))) throw error;
    }
    if (!failures) since = Date.now();
    if (Date.now() - since > PATIENCE_MS) throw networkError();
    turn.view.state("resuming");
    await pause(Math.min(FIRST_MS * 2 ** failures, MOST_MS), signal);
    failures += 1;
    open = again(turn, signal);
  }
}

// Ids are "<run>:<n>", n from one event to the next greater.
const place = (id) => Number(id?.split(":").at(-1) ?? NaN);
const isOld = (id, last) => place(id) <= place(last);

// A browser may send a question again by itself: then it meets the run that the first has begun.
const wasSent = (error) => ["network", "cut", "conversation_busy"].includes(error.code);

const passes = (error) =>
  error instanceof ApiError && (["network", "cut"].includes(error.code) || error.status === 429 || error.status >= 500);

// Waits, no longer than until the connection is there again.
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const done = (settle) => () => {
      clearTimeout(waiting);
      window.removeEventListener("online", ready);
      signal.removeEventListener("abort", left);
      settle();
    };
    const ready = done(resolve);
    const left = done(() => reject(signal.reason));
    const waiting = setTimeout(ready, milliseconds);
    window.addEventListener("online", ready);
    signal.addEventListener("abort", left);
    if (signal.aborted) left();
  });
}

const cancel = (id) => call(address(id, "/cancel"), { method: "POST" });

// The run that this browser session reads: {run, conversation, question}.
function keep(turn) {
  try {
    const { run, of, body } = turn ?? {};
    if (run && of) sessionStorage.setItem(KEPT, JSON.stringify({ run, conversation: of, question: body.message }));
    else if (!turn) sessionStorage.removeItem(KEPT);
  } catch {
    // Then the list of runs has it.
  }
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

// A conversation was opened whose last answer is still being written: it is read from its beginning, and then on.
async function takeUp(id, question) {
  await look();
  const { run: last, conversation: of } = kept();
  const ended = known.some((one) => one.id === last && !ACTIVE.includes(one.state));
  const active = known.find((one) => one.conversation_id === id && ACTIVE.includes(one.state))?.id;
  const run = active ?? (of === id && !ended ? last : "");
  if (!run || !question || conversation.id !== id || isRunning()) return;
  const view = new AnswerView({ text: question.text, attachments: question.attachments }, session.name);
  $("#welcome").hidden = true;
  $("#turns").lastElementChild?.remove();
  $("#turns").append(view.element);
  view.state("background");
  const controller = new AbortController();
  const turn = { view, run, last: "", body: { message: question.text }, controller, citations: [] };
  turn.events = whole(again(turn, controller.signal), turn, controller.signal);
  await follow(turn);
}

// What runs, and what has ended since it was looked at last.
async function look() {
  clearTimeout(timer);
  if (!session.capabilities || !has("runs")) return;
  const before = known;
  try {
    known = (await getJson(address())).runs;
  } catch {
    // Looked for again, as long as something ran.
  }
  for (const { id, state } of before) {
    if (!ACTIVE.includes(state) || seen.has(id)) continue;
    const now = known.find((one) => one.id === id);
    if (now && !ACTIVE.includes(now.state)) {
      ready.add(id);
      announce(T.finished);
    }
  }
  draw();
  if (known.some(({ state }) => ACTIVE.includes(state)) && !document.hidden) timer = setTimeout(look, POLL_MS);
}

function draw() {
  const count = known.filter(({ state }) => ACTIVE.includes(state)).length;
  parts.button.hidden = !count && !ready.size;
  parts.button.classList.toggle("some-ready", ready.size > 0);
  parts.badge.textContent = String(ready.size || count);
  parts.button.setAttribute("aria-label", ready.size ? T.ready(ready.size) : T.count(count));
  parts.button.title = parts.button.getAttribute("aria-label");
}

// All that runs and what has become ready, to be opened or cancelled.
async function list() {
  await Promise.all([look(), listed()]);
  const shown = known.filter(({ id, state }) => ACTIVE.includes(state) || ready.has(id));
  const close = h("button", { class: "button", type: "button", onclick: () => dialog.close() }, F.close);
  const rows = shown.map((one) => row(one, () => dialog.close()));
  const dialog = frame(
    T.title,
    rows.length ? h("ul", { class: "runs-list" }, ...rows) : h("p", {}, T.none),
    h("div", { class: "dialog-actions" }, close),
  );
  await show(dialog, $("button", dialog));
}

function row({ id, state, seconds, conversation_id: of, title }, close) {
  const status = h("span", { class: "muted" }, ACTIVE.includes(state) ? `${T.states[state]} ${T.seconds(seconds)}` : T.states[state]);
  const opened = async () => {
    ready.delete(id);
    close();
    draw();
    await open(of);
  };
  const stopped = async ({ target }) => {
    target.disabled = true;
    try {
      await cancel(id);
      announce(T.cancelled);
      status.textContent = T.states.cancelled;
      seen.add(id);
    } catch (error) {
      status.textContent = error.message;
    }
    look();
  };
  return h(
    "li",
    { class: "run" },
    h("span", { class: "run-name" }, titleOf(of) || title || F.sheet.untitled),
    status,
    h(
      "span",
      { class: "run-actions" },
      state !== "queued" || titleOf(of) ? h("button", { class: "button", type: "button", onclick: opened }, T.open) : null,
      ACTIVE.includes(state) ? h("button", { class: "button", type: "button", onclick: stopped }, T.cancel) : null,
    ),
  );
}
