// Turns: a question goes out, its events come in and are shown. At most one runs at a time.
import { AnswerView } from "./answer.js";
import { errorOf } from "./api.js";
import { emit, on } from "./bus.js";
import { began, context, conversation, forgetLast, keep } from "./conversation.js";
import { $, announce } from "./dom.js";
import { session } from "./session.js";
import { cutError, transport } from "./stream.js";
import { S } from "./strings.js";

const NEAR_PX = 120;
const STOPPING_MS = 5000;
const SETTLING_MS = 600;
const BUSY_TRIES = 8;
const UP = new Set(["ArrowUp", "PageUp", "Home"]);

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));
// Resolves when the turn that was stopped last has let go of its conversation; null if none was.
let stopping = null;

// The turn that runs, or null: {view, body, controller, citations}.
let running = null;

export const isRunning = () => running !== null;

// `attachments` are {name, file_id}. Resolves when the turn has ended; never rejects.
export async function ask(text, attachments = []) {
  if (running || !text.trim()) return;
  const body = { message: text, stream: true, restart: true, ...context() };
  if (session.name) body.user = session.name;
  const model = session.capabilities.models.find((one) => one.alias === session.capabilities.default_model);
  if (model?.thinking === "always") body.show_thinking = true;
  if (attachments.length) {
    body.attachments = attachments.map(({ file_id: id, name }) => ({ file_id: id, name }));
    body.citations = true;
  }
  emit("turn:prepare", { body });
  const view = new AnswerView({ text, attachments }, session.name);
  $("#welcome").hidden = true;
  for (const old of document.querySelectorAll(".again")) old.remove();
  $("#turns").append(view.element);
  view.state("sending");
  announce(S.announce.started);
  scrollToEnd();
  await follow({ view, body, controller: new AbortController(), citations: [] });
}

export function stop() {
  if (!running) return;
  running.stopped = true;
  stopping = Promise.race([transport.stop(running), pause(STOPPING_MS)]).then(() => pause(SETTLING_MS));
  running.controller.abort();
}

// The server ends a turn that was stopped within moments; until then its conversation takes no other.
async function* sent(turn) {
  await stopping;
  for (let left = stopping ? BUSY_TRIES : 0; ; left -= 1) {
    try {
      yield* transport.send(turn.body, turn.controller.signal, turn);
      return;
    } catch (error) {
      if (error.code !== "conversation_busy" || left <= 0) throw error;
    }
    await pause(SETTLING_MS);
  }
}

// Shows the events of a turn until it has ended. `turn.events`, where given, are in the place of a new request's.
export async function follow(turn) {
  running = turn;
  const { view } = turn;
  emit("turn:started", turn);
  let error = null;
  try {
    for await (const { event, data } of turn.events ?? sent(turn)) {
      HANDLERS[event]?.(turn, data);
      emit("turn:event", { turn, event, data });
      if (event === "done" || event === "error") break;
    }
    stopping = null;
    if (!turn.result && !turn.error) throw cutError(turn.requestId);
    error = turn.error ?? null;
  } catch (raised) {
    error = raised.name === "AbortError" ? null : raised;
    if (error && !error.code) console.error(error);
    if (error && !error.code) error = errorOf({ user_message: S.errors.unforeseen, code: "page", request_id: turn.requestId });
    if (!error && !turn.stopped) return forget(turn);
  }
  finish(turn, error);
}

function finish(turn, error) {
  const { view } = turn;
  running = null;
  if (!view.element.isConnected) return emit("turn:ended", turn);
  view.cite(turn.citations);
  const state = turn.result ? "done" : turn.stopped ? "stopped" : "failed";
  if (state === "stopped") view.note(S.stopped, S.notes.attention);
  if (state === "failed") view.fail(error);
  view.end(state, () => again(turn));
  if (turn.result) remark(view, turn.result);
  if (view.text.trim()) keep(turn.body.message, view.text);
  emit("turn:ended", turn);
  if (following) scrollToEnd();
}

// A conversation was left, or the session closed, while its turn ran.
function forget(turn) {
  running = null;
  emit("turn:ended", turn);
}

function again(turn) {
  if (running) return;
  const { text, attachments } = turn.view.question;
  if (!conversation.id) {
    forgetLast();
    turn.view.element.remove();
  }
  ask(text, attachments);
}

const HANDLERS = {
  start(turn, data) {
    turn.requestId = data.request_id;
    turn.view.model = data.model;
    turn.view.state("thinking");
    began(data.conversation_id);
  },
  thinking({ view }, { text }) {
    view.state("thinking");
    if (text) view.think(text);
  },
  delta({ view }, { text }) {
    view.state("writing");
    view.say(text);
  },
  tool_call({ view }, data) {
    view.state("searching");
    view.toolCall(data);
  },
  tool_result({ view }, data) {
    view.toolResult(data);
    view.state("thinking");
  },
  warning({ view }, { text }) {
    view.note(text);
  },
  citation(turn, data) {
    turn.citations.push(data);
  },
  restart(turn, { length }) {
    turn.view.takeBack(length);
    turn.citations = turn.citations.filter((one) => !one.reply || one.reply.end <= length);
    turn.view.state("again");
  },
  done(turn, data) {
    turn.result = data;
    if (data.stand_in) turn.view.standIn();
  },
  error(turn, data) {
    turn.error = errorOf(data);
  },
};

// What a person has to know of an answer that is not simply an answer.
function remark(view, { degraded, stop_reason: reason, model }) {
  if (S.ended[reason]) view.note(S.ended[reason]);
  if (!degraded) return;
  const stopped = reason.startsWith("guardrail_") || reason === "loop_cap";
  const other = model !== view.model || model !== session.capabilities?.default_model;
  const text = stopped && reason !== "guardrail_intervened" ? S.degraded.stopped : other ? S.degraded.model(model) : S.degraded.other;
  view.note(text, S.notes.caveat);
}

const log = () => $("#log");

// The end is followed as long as it is in sight: who has scrolled up to read stays there, and comes back by scrolling down.
let following = true;
let lastTop = 0;

function scrollToEnd() {
  following = true;
  log().scrollTop = log().scrollHeight;
  lastTop = log().scrollTop;
}

function leaveEnd() {
  if (log().scrollTop > 0) following = false;
}

export function start() {
  log().addEventListener("scroll", () => {
    const { scrollTop, clientHeight, scrollHeight } = log();
    const near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    // Where it is as we left it, the end may be far by now: the answer has grown since, and nobody has scrolled.
    if (scrollTop < lastTop) following &&= near;
    else if (near && scrollTop > lastTop) following = true;
    lastTop = scrollTop;
  });
  // Before anything has scrolled: an answer that grows in that moment would take it back.
  log().addEventListener("wheel", ({ deltaY }) => deltaY < 0 && leaveEnd());
  log().addEventListener("touchmove", leaveEnd, { passive: true });
  log().addEventListener("keydown", ({ key }) => UP.has(key) && leaveEnd());
  new ResizeObserver(() => running && following && scrollToEnd()).observe($("#turns"));
}

// A conversation of earlier days: messages as GET /api/conversations/{id} has them.
export function showPast(messages) {
  clear();
  $("#welcome").hidden = messages.length > 0;
  let view = null;
  for (const message of messages) {
    if (message.role === "user") {
      view = new AnswerView({ text: message.text, attachments: message.attachments ?? [] }, session.name);
      $("#turns").append(view.element);
      if (message.state !== "whole") view.unfinished(S.unanswered);
    } else if (view) {
      view.whole(message.text, message.state === "whole" ? "done" : "stopped");
      view.cite(message.citations ?? []);
      emit("answer:past", { view, message });
    }
  }
  if (messages.length) scrollToEnd();
}

function clear() {
  $("#turns").replaceChildren();
  log().scrollTop = 0;
  $("#welcome").hidden = false;
  running?.controller.abort();
  running = null;
}

on("conversation:fresh", clear);
on("session:closed", clear);
