// Turns now and lately, each with its story; found by request id or trace id.
import { $, h } from "../app/dom.js";
import { get } from "./api.js";
import { clockOf, seconds } from "./format.js";
import { storyOf } from "./story.js";
import { T } from "./view_words.js";

const EVERY_MS = 5000;
const PAGE = 50;
const ID = /^[A-Za-z0-9._-]{8,128}$/;
let timer = 0;
let asking = null;
let sought = "";
// The ids of the turns whose stories are open.
const opened = new Set();
const parts = {};

export function start() {
  const field = h("input", { id: "turn-id", type: "search", autocomplete: "off", spellcheck: "false", maxlength: 128, "aria-describedby": "turn-id-hint turn-problem" });
  const problem = h("p", { id: "turn-problem", class: "field-error", role: "alert" });
  const all = h("button", { class: "button", type: "button", hidden: true, onclick: () => seek("") }, T.all);
  const form = h(
    "form",
    { class: "finder", role: "search" },
    h("div", { class: "field" }, h("label", { for: "turn-id" }, T.find), field, h("p", { class: "hint", id: "turn-id-hint" }, `${T.findHint} ${T.auto}`)),
    h("div", { class: "finder-buttons" }, h("button", { class: "button primary", type: "submit" }, T.findButton), all,
      h("button", { class: "button", type: "button", onclick: () => load() }, T.refresh)),
    problem,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = field.value.trim();
    if (id && !ID.test(id)) {
      problem.textContent = T.findHint;
      return field.focus();
    }
    seek(id);
  });
  const body = h("tbody");
  const table = h("table", { class: "turn-table" },
    h("caption", { class: "sr-only" }, T.caption),
    h("thead", {}, h("tr", {}, T.columns.map((name, index) => h("th", { scope: "col", class: `turn-${index}` }, name)))),
    body);
  const note = h("p", { class: "muted", role: "status" });
  const more = h("button", { class: "button", type: "button", hidden: true }, T.more);
  Object.assign(parts, { field, problem, all, body, note, more, table });
  $("#turns").append(form, h("div", { class: "table-box" }, h("div", { class: "scroller", tabindex: 0, role: "region", "aria-labelledby": "turns-title" }, table)), note, more);
}

const named = () => {
  const [view, id] = location.hash.slice(1).split("/");
  return view === "turnos" && id && ID.test(id) ? id : "";
};

addEventListener("hashchange", () => timer && named() && seek(named()));

export function show() {
  if (named()) sought = parts.field.value = named();
  load();
  timer = setInterval(() => document.visibilityState === "visible" && load({ quiet: true }), EVERY_MS);
}

export function hide() {
  clearInterval(timer);
  timer = 0;
  asking?.abort();
}

function seek(id) {
  sought = parts.field.value = id;
  parts.problem.textContent = "";
  opened.clear();
  load();
}

async function load({ quiet = false } = {}) {
  // Nothing moves below somebody's hands while older turns are looked through.
  if (quiet && parts.body.dataset.older) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    const answer = await get("/admin/turns", { limit: PAGE, id: sought, signal });
    parts.problem.textContent = "";
    delete parts.body.dataset.older;
    if (sought && answer.running.length + answer.turns.length === 1) opened.add([...answer.running, ...answer.turns][0].id);
    fill([...answer.running.reverse(), ...answer.turns]);
    finish(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.code === undefined) throw error;
    parts.problem.textContent = error.message;
  }
}

function finish(answer) {
  const any = parts.body.children.length > 0;
  const said = any ? (answer.forgotten && !answer.next ? T.forgotten(answer.forgotten) : "") : sought ? T.notFound(sought) : T.none;
  if (parts.note.textContent !== said) parts.note.textContent = said;
  parts.all.hidden = !sought;
  parts.table.parentElement.parentElement.hidden = !any;
  parts.more.hidden = answer.next === null;
  parts.more.onclick = async () => {
    parts.body.dataset.older = "true";
    try {
      const older = await get("/admin/turns", { limit: PAGE, id: sought, before: answer.next });
      parts.body.append(...older.turns.flatMap(rowsOf));
      finish(older);
    } catch (error) {
      if (error.code === undefined) throw error;
      parts.problem.textContent = error.message;
    }
  };
}

// The row of a turn that has not changed is left as it is, with whatever has the focus in it.
function fill(turns) {
  const { body } = parts;
  const before = new Map([...body.children].map((row) => [row.dataset.part, row]));
  const rows = turns.flatMap((turn) => {
    const kept = before.get(turn.id);
    const story = before.get(`${turn.id}/story`);
    if (kept?.dataset.as !== fingerprint(turn) || opened.has(turn.id) !== Boolean(story)) return rowsOf(turn);
    return story ? [kept, story] : [kept];
  });
  const focused = document.activeElement?.closest?.("tr")?.dataset.part;
  body.replaceChildren(...rows);
  if (focused && !body.contains(document.activeElement)) {
    [...body.children].find((row) => row.dataset.part === focused)?.querySelector("button")?.focus();
  }
}

const fingerprint = (turn) => `${turn.status} ${turn.steps.length} ${turn.duration}`;

function rowsOf(turn) {
  const [mark, word] = T.status[turn.status] ?? ["?", turn.status];
  const said = [word, turn.code, turn.degraded && T.degraded].filter(Boolean).join(" · ");
  const button = h(
    "button",
    { class: "button small", type: "button", "aria-expanded": String(opened.has(turn.id)), "aria-label": T.openOf(turn.request_id) },
    T.open,
  );
  const cells = [`${mark} ${said}`, seconds(turn.duration), turn.model, turn.api_key, turn.request_id];
  const row = h(
    "tr",
    { "data-part": turn.id, "data-as": fingerprint(turn), "data-status": turn.status },
    h("th", { scope: "row", class: "turn-0" }, clockOf(turn.started)),
    cells.map((text, index) => h("td", { class: `turn-${index + 1}` }, index === 4 ? h("code", {}, text) : text)),
    h("td", { class: "row-actions" }, button),
  );
  button.addEventListener("click", () => toggle(turn, row, button));
  return opened.has(turn.id) ? [row, storyRow(turn)] : [row];
}

function toggle(turn, row, button) {
  if (opened.delete(turn.id)) row.nextElementSibling.remove();
  else {
    opened.add(turn.id);
    row.after(storyRow(turn));
  }
  button.setAttribute("aria-expanded", String(opened.has(turn.id)));
}

const storyRow = (turn) => h("tr", { class: "story-row", "data-part": `${turn.id}/story` }, h("td", { colspan: T.columns.length }, storyOf(turn)));
