// Who changed what, when and why; and back to a version, with a look at what that changes.
import { on } from "../app/bus.js";
import { $, h, inertUntil } from "../app/dom.js";
import { act, applied } from "./act.js";
import { get, post, preview } from "./api.js";
import { dayOf, short } from "./format.js";
import { H } from "./view_words.js";

const PAGE = 50;
const parts = {};
let visible = false;
let newest = 0;
let shown = [];

export function start() {
  const body = h("tbody", { role: "rowgroup" });
  const problem = h("p", { class: "field-error", role: "alert" });
  const more = h("button", { class: "button", type: "button", hidden: true, onclick: () => load({ older: true }) }, H.more);
  const table = h(
    "table",
    { class: "history-table stacks", role: "table" },
    h("caption", { class: "sr-only" }, H.caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, H.columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))),
    body,
  );
  Object.assign(parts, { body, problem, more });
  const scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-labelledby": "history-title" }, table);
  $("#history").append(problem, h("div", { class: "table-box" }, scroller), more);
  on("settings:moved", () => visible && load());
  on("live:judgement", ({ version }) => visible && version !== newest && !$("#act").open && load());
}

export function show() {
  visible = true;
  inertUntil(load(), parts.body);
}

export function hide() {
  visible = false;
}

async function load({ older = false } = {}) {
  try {
    const before = older ? shown.at(-1)?.version : undefined;
    const { versions } = await get("/admin/flags/history", { limit: PAGE, before });
    parts.problem.textContent = "";
    shown = older ? [...shown, ...versions] : versions;
    if (!older) newest = versions[0]?.version ?? 0;
    parts.more.hidden = versions.length < PAGE;
    const focused = document.activeElement?.closest?.("[data-version]")?.dataset.version;
    parts.body.replaceChildren(...shown.map(row));
    if (focused) parts.body.querySelector(`[data-version="${CSS.escape(focused)}"] button`)?.focus();
  } catch (error) {
    if (error.code === undefined) throw error;
    parts.problem.textContent = error.message;
  }
}

function row(version) {
  const current = version.version === newest;
  return h(
    "tr",
    { role: "row", "data-version": version.version },
    h("th", { scope: "row", role: "rowheader" }, String(version.version), current && h("span", { class: "tag source" }, H.now)),
    h("td", { role: "cell" }, dayOf(version.at)),
    h("td", { role: "cell", "data-label": H.columns[2] }, version.by || H.nobody),
    h("td", { role: "cell", "data-label": H.columns[3], class: "why" }, version.why || H.nobody, version.durable === false && h("span", { class: "tag" }, H.notDurable)),
    h("td", { role: "cell" }, h("ul", { class: "plain" }, Object.entries(version.changes).map(([name, change]) => h("li", {}, line(name, change))))),
    h("td", { role: "cell", class: "row-actions" },
      !current && h("button", { class: "button small", type: "button", "aria-label": H.backTitle(version.version), onclick: () => ask(version.version) }, H.back)),
  );
}

function line(name, change) {
  // What waits for a second person is kept as one value: its ids say what came and went.
  if (name === "pending") {
    const [before, after] = [change.from, change.to].map((waiting) => Object.keys(waiting ?? {}).join(", ") || H.nobody);
    return [h("code", {}, name), `: ${before} → ${after}`];
  }
  const how = H[change.override] ? ` (${H[change.override]})` : "";
  return [h("code", {}, name), `: ${short(change.from)} → ${short(change.to)}${how}`];
}

async function ask(version) {
  const now = newest;
  let changes;
  try {
    changes = await preview("/admin/flags/rollback", { version });
  } catch (error) {
    if (error.code === undefined) throw error;
    parts.problem.textContent = `${error.message} ${error.detail}`;
    return;
  }
  act({
    title: H.backTitle(version),
    button: H.backTitle(version),
    what: [H.backWhat(version, now - version), changes.some((each) => each.name === "BEDROCK_ENABLED") && H.kill, !changes.length && H.nothing].filter(Boolean),
    undo: H.undo(now),
    changes,
    danger: true,
    run: ({ reason }) => post("/admin/flags/rollback", { version }, { reason, ifVersion: now }),
    done: (answer) => {
      load();
      return applied(answer);
    },
  });
}

