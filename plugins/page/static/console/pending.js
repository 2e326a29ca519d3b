// Changes that wait for a second person.
import { on } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { act, applied, changeTable } from "./act.js";
import { post } from "./api.js";
import { clockOf } from "./format.js";
import { F } from "./view_words.js";

on("live:judgement", ({ pending }) => {
  const badge = $("#nav-pending");
  badge.hidden = pending.length === 0;
  badge.textContent = String(pending.length);
});

// `flags` is the answer of GET /admin/flags; `changed` is called when something was done.
export function showPending(flags, changed) {
  const { pending, version } = flags;
  const done = (result) => {
    changed();
    return applied(result);
  };
  const changesOf = (each) => Object.entries(each.edits).map(([name, to]) => ({ name, from: flags.flags[name]?.value, to }));
  const items = pending.map((each) =>
    h(
      "li",
      { class: "note", "data-pending": each.id },
      h("p", {}, h("strong", {}, each.id), ` ${F.pendingOf(each.names.join(", "), each.by, clockOf(each.expires_at))}`),
      each.why && h("p", {}, F.proposedWhy(each.why)),
      changeTable(changesOf(each)),
      h("button", { class: "button small primary", type: "button", "aria-label": F.approveOf(each.id), onclick: () => approve(each) }, F.approve),
    ),
  );
  const drop = h("button", { class: "button small", type: "button", onclick: askDrop }, F.drop);
  $("#pending").replaceChildren(
    ...(pending.length ? [h("section", { class: "pending", "aria-labelledby": "pending-title" }, h("h3", { id: "pending-title" }, F.pendingTitle), h("ul", {}, items), drop)] : []),
  );

  function approve(each) {
    act({
      title: F.approveOf(each.id),
      button: F.approve,
      what: [F.approveWhat, each.why ? F.proposedWhy(each.why) : ""].filter(Boolean),
      undo: F.undo(version),
      changes: changesOf(each),
      run: ({ reason }) => post("/admin/flags/approve", { id: each.id }, { reason, ifVersion: version }),
      done,
    });
  }

  function askDrop() {
    act({
      title: F.dropTitle,
      button: F.drop,
      what: F.dropWhat,
      undo: F.dropUndo,
      changes: pending.map((each) => ({ name: each.id, from: each.names.join(", "), to: "–" })),
      run: ({ reason }) => post("/admin/reload-flags", { pending: null }, { reason, ifVersion: version }),
      done,
    });
  }
}
