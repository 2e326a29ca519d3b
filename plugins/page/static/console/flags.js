// The settings: value, where it comes from, help; change, clear, and what waits for a second person.
import { on } from "../app/bus.js";
import { $, h, inertUntil } from "../app/dom.js";
import { act, applied, told } from "./act.js";
import { get, post, preview } from "./api.js";
import { editorOf } from "./editor.js";
import { dayOf, short } from "./format.js";
import { showPending } from "./pending.js";
import { F } from "./view_words.js";

const parts = {};
let answer = null;
let visible = false;

export function start() {
  const search = h("input", { id: "flag-search", type: "search", autocomplete: "off", spellcheck: "false" });
  const layer = h("select", { id: "flag-layer" }, h("option", { value: "" }, F.anyLayer));
  const changed = h("input", { id: "flag-changed", type: "checkbox", checked: true });
  const summary = h("p", { class: "muted", role: "status" });
  const notes = h("div");
  const list = h("div", { class: "flags" });
  const reload = h("button", { class: "button", type: "button", onclick: askReload }, F.reload);
  Object.assign(parts, { search, layer, changed, summary, notes, list });
  for (const input of [search, layer, changed]) input.addEventListener("input", fill);
  $("#flags").append(
    h(
      "div",
      { class: "finder" },
      h("div", { class: "field grow" }, h("label", { for: "flag-search" }, F.search), search),
      h("div", { class: "field" }, h("label", { for: "flag-layer" }, F.layer), layer),
      h("label", { class: "check" }, changed, F.changed),
      reload,
    ),
    summary,
    notes,
    list,
  );
  // Somebody has changed something: what is shown is no longer so.
  on("live:judgement", (figures) => {
    const stale = answer && (figures.version !== answer.version || figures.pending.length !== answer.pending.length);
    if (visible && stale && !$("#act").open) load();
  });
  on("settings:moved", () => visible && load());
}

export function show() {
  visible = true;
  inertUntil(load(), parts.list);
}

export function hide() {
  visible = false;
}

async function load() {
  try {
    answer = await get("/admin/flags");
  } catch (error) {
    if (error.code === undefined) throw error;
    parts.summary.textContent = error.message;
    return;
  }
  const sources = [...new Set(Object.values(answer.flags).map((flag) => flag.source))].sort();
  const kept = parts.layer.value;
  parts.layer.replaceChildren(
    h("option", { value: "" }, F.anyLayer),
    ...sources.map((source) => h("option", { value: source }, F.sources[source] ?? source)),
  );
  parts.layer.value = sources.includes(kept) ? kept : "";
  showPending(answer, load);
  notes();
  fill();
}

function notes() {
  const said = [
    ...Object.entries(answer.awaiting_restart).map(([name, value]) => F.restart(name, short(value))),
    ...answer.skipped.map((problem) => F.skipped(problem.name, problem.message)),
  ];
  parts.notes.replaceChildren(...said.map((text) => h("p", { class: "note" }, text)));
}

function fill() {
  if (answer === null) return;
  const wanted = parts.search.value.trim().toUpperCase().replaceAll(" ", "_");
  const layer = parts.layer.value;
  const everything = !parts.changed.checked || wanted !== "" || layer !== "";
  const all = Object.entries(answer.flags);
  const chosen = all.filter(
    ([name, flag]) =>
      (!wanted || name.includes(wanted) || (flag.plugin ?? "").toUpperCase().includes(wanted)) &&
      (!layer || flag.source === layer) &&
      (everything || name.endsWith("_ENABLED") || flag.source !== "default"),
  );
  const groups = new Map();
  for (const each of chosen) {
    const plugin = each[1].plugin ?? F.core;
    groups.set(plugin, [...(groups.get(plugin) ?? []), each]);
  }
  parts.summary.textContent = chosen.length ? F.shown(chosen.length, all.length, answer.version) : F.none;
  const focused = document.activeElement?.dataset?.act;
  parts.list.replaceChildren(
    ...[...groups].map(([plugin, flags]) =>
      h("section", { class: "flag-group" }, h("h3", {}, plugin), h("ul", {}, flags.map(([name, flag]) => item(name, flag)))),
    ),
  );
  if (focused) parts.list.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function item(name, flag) {
  const overridden = flag.source === "override";
  const tags = [flag.secret && F.secret, flag.sensitive && F.sensitive, !flag.runtime && !flag.secret && F.fixed].filter(Boolean);
  return h(
    "li",
    { class: "flag", "data-flag": name, "data-overridden": String(overridden) },
    h("div", { class: "flag-head" }, h("code", { class: "flag-name" }, name), h("code", { class: "flag-value" }, short(flag.value, 200))),
    h("p", { class: "flag-from" }, h("span", { class: "tag source" }, F.sources[flag.source] ?? flag.source),
      tags.flatMap((tag) => [" ", h("span", { class: "tag" }, tag)]),
      overridden && [" ", h("span", {}, F.by(flag.by || "–", dayOf(flag.at), flag.why))]),
    h("p", { class: "flag-help muted", lang: "en" }, flag.help),
    flag.runtime &&
      h(
        "div",
        { class: "flag-acts" },
        h("button", { class: "button small", type: "button", "data-act": `change ${name}`, "aria-label": F.changeOf(name), onclick: () => askChange(name, flag) }, F.change),
        overridden &&
          h("button", { class: "button small", type: "button", "data-act": `clear ${name}`, "aria-label": F.clearOf(name), onclick: () => askClear(name, flag) }, F.clear),
      ),
  );
}

function done(result) {
  load();
  return applied(result);
}

function askChange(name, flag) {
  const { version } = answer;
  const editor = editorOf(name, flag);
  act({
    title: F.changeOf(name),
    button: F.changeOf(name),
    what: [F.what(name), flag.scope === "process" && F.process, flag.sensitive && F.twoPersons].filter(Boolean),
    undo: F.undo(version),
    fields: [editor.field],
    changes: () => [{ name, from: flag.value, to: editor.text() }],
    run: async ({ reason }) => {
      if (editor.text().trim() === "") throw F.empty;
      return post("/admin/reload-flags", { [name]: editor.text() }, { reason, ifVersion: version });
    },
    done,
  });
}

async function askClear(name, flag) {
  const { version } = answer;
  const changes = await looked({ [name]: null });
  if (changes === null) return;
  act({
    title: F.clearOf(name),
    button: F.clear,
    what: F.clearWhat(name),
    undo: F.undo(version),
    changes: changes.length ? changes : [{ name, from: flag.value, to: flag.value }],
    run: ({ reason }) => post("/admin/reload-flags", { [name]: null }, { reason, ifVersion: version }),
    done,
  });
}

async function askReload() {
  const changes = await looked({});
  if (changes === null) return;
  act({
    title: F.reloadTitle,
    button: F.reload,
    what: [F.reloadWhat, !changes.length && F.nothing].filter(Boolean),
    undo: F.reloadUndo,
    changes,
    run: ({ reason }) => post("/admin/reload-flags", {}, { reason }),
    done,
  });
}

// What `edits` would change; null if the server refuses them, which is said.
async function looked(edits) {
  try {
    return await preview("/admin/reload-flags", edits);
  } catch (error) {
    if (error.code === undefined) throw error;
    parts.notes.replaceChildren(h("div", { class: "note", "data-kind": "error", role: "alert" }, told(error)));
    return null;
  }
}
