// Numbers in an answer's text, at the end of what rests on a quotation: `reply` of a citation (docs/documents.md).
import { h } from "./dom.js";
import { S } from "./strings.js";

// Two characters of the private use area, which no text needs; those of a model's own are made unreadable.
const [OPEN, CLOSE] = ["\ue000", "\ue001"];
const MARK = /\ue000(\d+)\ue001/;

export const withoutMarks = (text) => text.replace(/[\ue000\ue001]/g, "\ufffd");

// `ends` are [place, number], places in UTF-16 units from the beginning of `text`.
export function marked(text, ends) {
  let result = text;
  for (const [place, number] of ends.toSorted(([a, m], [b, n]) => b - a || n - m)) {
    result = result.slice(0, place) + OPEN + number + CLOSE + result.slice(place);
  }
  return result;
}

// The place in UTF-16 units of the code point `index`.
export function place(text, index) {
  let units = 0;
  let left = index;
  for (const character of text) {
    if (left === 0) return units;
    left -= 1;
    units += character.length;
  }
  return units;
}

// Makes links of the marks in `element`; `address(number)` is where each leads.
export function number(element, address) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) if (MARK.test(walker.currentNode.data)) texts.push(walker.currentNode);
  for (const text of texts) {
    const parts = text.data.split(MARK);
    text.replaceWith(...parts.map((part, index) => (index % 2 ? link(part, address(part)) : part)));
  }
  for (const away of element.querySelectorAll("a[href]")) {
    const href = decodeURI(away.getAttribute("href"));
    if (MARK.test(href)) away.setAttribute("href", href.split(MARK).filter((_, index) => index % 2 === 0).join(""));
  }
}

function link(number, address) {
  return h("sup", { class: "cited" }, h("a", { href: address, "aria-label": S.sources.one(number) }, number));
}
