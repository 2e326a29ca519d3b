// A table that is brought up to date cell by cell: focus stays where it is, and nothing is said twice. On a narrow screen
// its rows are stacked; the roles keep it a table then.
import { h } from "../app/dom.js";

// `show(rows, nothing)`: rows are {key, level, cells, actions: [{label, name, run}]}; `nothing` is said without any.
export function tableOf(box, caption, columns) {
  const body = h("tbody", { role: "rowgroup" });
  const table = h(
    "table",
    { class: "stacks", role: "table" },
    h("caption", { class: "sr-only" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))),
    body,
  );
  const none = h("p", { class: "muted", hidden: true });
  const scroller = h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": caption }, table);
  box.replaceChildren(scroller, none);
  const shown = new Map();

  function show(rows, nothing = "") {
    scroller.hidden = rows.length === 0;
    none.hidden = rows.length > 0;
    if (none.textContent !== nothing) none.textContent = nothing;
    const wanted = new Set(rows.map((row) => row.key));
    for (const [key, row] of shown) {
      if (!wanted.has(key)) {
        row.element.remove();
        shown.delete(key);
      }
    }
    for (const [index, row] of rows.entries()) {
      if (!shown.has(row.key)) shown.set(row.key, rowOf(row, columns));
      const kept = shown.get(row.key);
      if (body.children[index] !== kept.element) body.insertBefore(kept.element, body.children[index] ?? null);
      kept.update(row);
    }
  }
  return { show };
}

function rowOf(first, columns) {
  const cells = first.cells.map((_, index) =>
    index === 0 ? h("th", { scope: "row", role: "rowheader" }) : h("td", { role: "cell", "data-label": columns[index] }),
  );
  const actions = h("td", { class: "row-actions", role: "cell" });
  const element = h("tr", { role: "row", "data-key": first.key }, cells, actions);
  let offered = "";
  let current = first;

  function update(row) {
    current = row;
    element.dataset.level = row.level ?? "normal";
    for (const [index, text] of row.cells.entries()) {
      if (cells[index].textContent !== text) cells[index].textContent = text;
      cells[index].classList.toggle("empty", text === "–");
    }
    const names = row.actions.map((action) => action.name).join("\n");
    if (names === offered) return;
    offered = names;
    actions.replaceChildren(
      ...row.actions.map((action, index) =>
        h("button", { class: "button small", type: "button", "aria-label": action.name, onclick: () => current.actions[index].run() }, action.label),
      ),
    );
  }
  return { element, update };
}
