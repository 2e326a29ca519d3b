// A second look before anything is done: what will happen in words, now and then, how to undo it, and why.
import { emit } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { short } from "./format.js";
import { noticed } from "./notices.js";
import { S } from "./words.js";

const dialog = $("#act");

// Shows the dialog. `action`:
//   title, button        what will be done
//   what                 sentences that say what will happen
//   changes              [{name, from, to}], shown as a table; or a function that gives them from the form
//   undo                 how it is taken back
//   fields               elements of the form, before the reason
//   reasons              reasons to choose from
//   danger               whether the button is red
//   run({reason, form})  does it: a promise of the answer; throws Refusal, or a string that says what is missing
//   done(answer)         {text, lines, kind} for the notice
export function act(action) {
  const reason = h("textarea", {
    id: "act-reason", rows: 2, maxlength: 500, required: true, "aria-describedby": "act-reason-hint",
    autofocus: !action.fields?.length,
  });
  const problem = h("div", { id: "act-problem", class: "note", "data-kind": "error", role: "alert", hidden: true });
  const changes = h("div", { class: "act-changes" });
  const send = h("button", { class: `button primary${action.danger ? " dangerous" : ""}`, type: "submit" }, action.button);
  const form = h(
    "form",
    { class: "act-form", novalidate: true },
    h("h2", { id: "act-title" }, action.title),
    ...[action.what].flat().map((text) => h("p", {}, text)),
    action.fields ?? [],
    changes,
    h(
      "div",
      { class: "field" },
      h("label", { for: "act-reason" }, S.act.reason),
      action.reasons && chips(action.reasons, reason),
      reason,
      h("p", { class: "hint", id: "act-reason-hint" }, S.act.reasonHint),
    ),
    action.undo && h("p", { class: "act-undo muted" }, action.undo),
    problem,
    h(
      "div",
      { class: "act-buttons" },
      h("button", { class: "button", type: "button", onclick: () => dialog.close() }, S.act.cancel),
      send,
    ),
  );
  const refresh = () => changes.replaceChildren(...shown(action.changes, form));
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit({ action, form, reason, problem, send });
  });
  refresh();
  dialog.replaceChildren(form);
  dialog.showModal();
}

function chips(texts, reason) {
  const put = (text) => () => {
    reason.value = text;
    reason.focus();
  };
  const buttons = texts.map((text) => h("button", { class: "button chip", type: "button", onclick: put(text) }, text));
  return h("div", { class: "chips" }, buttons);
}

function shown(changes, form) {
  const rows = typeof changes === "function" ? changes(form) : changes;
  return rows?.length ? [changeTable(rows)] : [];
}

// On a narrow screen its rows are stacked; the roles keep it a table then.
export function changeTable(rows) {
  const columns = [S.act.name, S.act.now, S.act.then];
  const rowOf = (row) =>
    h("tr", { role: "row" },
      h("th", { scope: "row", role: "rowheader" }, row.name),
      h("td", { role: "cell", "data-label": columns[1] }, short(row.from, 400)),
      h("td", { role: "cell", "data-label": columns[2], class: "new" }, short(row.to, 400)));
  return h(
    "table",
    { class: "changes stacks", role: "table" },
    h("caption", { class: "sr-only" }, S.act.change),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((text) => h("th", { scope: "col", role: "columnheader" }, text)))),
    h("tbody", { role: "rowgroup" }, rows.map(rowOf)),
  );
}

async function submit({ action, form, reason, problem, send }) {
  const why = reason.value.trim();
  problem.hidden = true;
  if (!why) {
    tell(problem, [S.act.reasonMissing]);
    reason.setAttribute("aria-invalid", "true");
    reason.focus();
    return;
  }
  reason.removeAttribute("aria-invalid");
  send.disabled = true;
  send.textContent = S.act.working;
  try {
    const answer = await action.run({ reason: why, form });
    if (dialog.contains(form)) dialog.close();
    noticed(action.done(answer));
    emit("act:done");
  } catch (error) {
    if (error.code === "version_conflict") emit("settings:moved");
    // Whoever has left the dialog meanwhile is told all the same.
    if (!dialog.open || !dialog.contains(form)) noticed({ kind: "error", text: `${action.title}: ${error.message ?? error}` });
    tell(problem, typeof error === "string" ? [error] : told(error));
  } finally {
    send.disabled = false;
    send.textContent = action.button;
  }
}

// Every problem that the server names, and where the log has it. Throws what is no Refusal.
export function told(error) {
  if (error.code === undefined) throw error;
  const lines = error.problems.map((one) => h("li", { lang: "en" }, h("code", {}, one.name), ` ${one.message}`));
  return [
    h("strong", {}, error.message),
    error.sent && h("p", {}, S.act.maybe),
    lines.length ? h("ul", { class: "problems" }, lines) : error.detail !== "" && h("p", { lang: "en" }, error.detail),
    h("p", { class: "hint" }, h("code", {}, error.code), error.traceId && ` · ${S.act.trace(error.traceId)}`),
  ].filter(Boolean);
}

function tell(problem, parts) {
  problem.replaceChildren(...parts);
  problem.hidden = false;
  problem.scrollIntoView({ block: "nearest" });
}

// What a change of settings came to, for the notice.
export function applied(answer) {
  if (answer.pending) return { kind: "warning", text: S.act.pending(answer.pending) };
  const changed = Object.entries(answer.changed ?? {});
  const lines = changed.map(([name, change]) => `${name}: ${short(change.from)} → ${short(change.to)}`);
  if (!changed.length) lines.push(S.act.nothing);
  if (answer.in_force?.unconfirmed?.length) lines.push(S.act.unconfirmed(answer.in_force.unconfirmed));
  if (answer.durable === false) lines.push(S.act.notDurable);
  lines.push(...Object.keys(answer.awaiting_restart ?? {}).map(S.act.restart));
  lines.push(...(answer.skipped ?? []).map(S.act.skipped));
  return { kind: answer.durable === false ? "warning" : "good", text: S.act.inForce(answer), lines };
}
