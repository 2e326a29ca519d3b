// A conversation on paper: as a Markdown file, and the sheet that a browser prints (style/print.css).
import { moment } from "./dates.js";
import { $, h } from "./dom.js";
import { F } from "./feature_strings.js";

const T = F.sheet;

// What GET /api/conversations/{id} answers, as Markdown.
export function markdown({ title, messages }) {
  const parts = [`# ${flat(title)}`, `_${T.exported(moment(new Date()))}_`];
  for (const { role, text, attachments, citations, tool_calls: calls, at, state } of messages) {
    parts.push(`## ${role === "user" ? T.question : T.answer} (${moment(new Date(at))})`);
    for (const { card } of calls ?? []) {
      if (typeof card?.data.explanation === "string") parts.push(`> ${flat(card.data.explanation)}`);
    }
    if (text.trim()) parts.push(text.trim());
    if (attachments?.length) parts.push(`${T.attachments}: ${attachments.map(({ name }) => flat(name)).join("; ")}`);
    if (citations?.length) {
      const cited = citations.map(
        ({ name, page, last_page: last, quote }, place) =>
          `${place + 1}. ${flat(name)}${page ? `, ${T.page(page, last)}` : ""}: “${flat(quote)}”`,
      );
      parts.push(`### ${T.sources}`, cited.join("\n"));
    }
    if (role === "assistant" && state !== "whole") parts.push(`_${T.cut}_`);
  }
  return `${parts.join("\n\n")}\n`;
}

const flat = (text) => text.replace(/\s+/g, " ").trim();

// "Prazo para apelar.md", of what every file system takes.
export const fileName = (title) => {
  const kept = flat(title.normalize("NFC").replace(/[^\p{L}\p{N} ._-]/gu, " ")).replace(/^[. ]+|[. ]+$/g, "");
  return `${kept.slice(0, 80) || T.untitled}.md`;
};

export function saveMarkdown(found) {
  const address = URL.createObjectURL(new Blob([markdown(found)], { type: "text/markdown;charset=utf-8" }));
  const link = h("a", { href: address, download: fileName(found.title), hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads it meanwhile.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function print() {
  window.print();
}

// Runs for Ctrl+P as well: what is folded is unfolded on paper.
export function start() {
  const note = h("p", { id: "print-note", class: "print-only hint" });
  $("#chat-title").after(note);
  window.addEventListener("beforeprint", () => {
    note.textContent = T.printed(moment(new Date()));
    for (const folded of document.querySelectorAll(".card details:not([open])")) {
      folded.open = true;
      folded.dataset.printed = "";
    }
  });
  window.addEventListener("afterprint", () => {
    for (const unfolded of document.querySelectorAll("details[data-printed]")) {
      unfolded.open = false;
      delete unfolded.dataset.printed;
    }
  });
}
