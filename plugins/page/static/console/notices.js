// What was done, at the top of the view, until somebody closes it.
import { $, h } from "../app/dom.js";
import { S } from "./words.js";

const MOST = 3;

export function noticed({ text, lines = [], kind = "good" }) {
  const notice = h(
    "div",
    { class: "note notice", "data-kind": kind },
    h("div", {}, h("p", {}, h("strong", {}, text)), lines.length > 0 && h("ul", {}, lines.map((line) => h("li", {}, line)))),
    h("button", { class: "button quiet", type: "button", "aria-label": S.act.close, onclick: () => notice.remove() }, "✕"),
  );
  const box = $("#notices");
  box.prepend(notice);
  while (box.children.length > MOST) box.lastElementChild.remove();
  scrollTo({ top: 0 });
}
