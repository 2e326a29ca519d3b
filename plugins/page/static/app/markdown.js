// Markdown of a model, which nobody trusts: marked makes HTML of it in which no HTML of the model's own survives,
// DOMPurify lets a short list of elements through, and no string is ever assigned to innerHTML.
import "../vendor/purify.min.js";
import { Lexer, Marked } from "../vendor/marked.esm.js";
import { withoutMarks } from "./cited.js";
import { h } from "./dom.js";

const { DOMPurify } = globalThis;
const FLUSH_MS = 40;
const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ADD_URI_SAFE_ATTR: ["start", "align"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

const escaped = (text) =>
  text.replace(/[&<>"']/g, (found) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[found]);

const marked = new Marked({
  gfm: true,
  renderer: {
    html({ text, block }) {
      return block ? `<p>${escaped(text)}</p>` : escaped(text);
    },
    // An address of a picture would tell strangers what is being read.
    image({ text, href }) {
      return escaped(text || href || "");
    },
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
    code({ text }) {
      return `<pre><code>${escaped(text)}</code></pre>`;
    },
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A" && node.hasAttribute("href")) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

function clean(tokens) {
  const fragment = DOMPurify.sanitize(marked.parser(tokens), ALLOWED);
  for (const wide of fragment.querySelectorAll("table, pre")) {
    const frame = h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": wide.nodeName === "PRE" ? "Trecho" : "Tabela" });
    wide.replaceWith(frame);
    frame.append(wide);
  }
  return fragment;
}

// Headings go one level deeper at a time, whatever the model began with.
function settle(fragment, above) {
  let level = above;
  for (const heading of fragment.querySelectorAll("h3, h4, h5, h6")) {
    level = Math.min(Number(heading.nodeName[1]), level + 1);
    if (Number(heading.nodeName[1]) !== level) heading.replaceWith(h(`h${level}`, {}, ...heading.childNodes));
  }
  return level;
}

// What a text that goes on may mean is not shown yet: "-" may begin a list, "**" some bold text, "| a |" a table.
export function mended(text) {
  let shown = text.replace(/(^|\n)[ \t]*(?:[-=*_#>|+~`:\s]|\d{1,9}[.)]?)*$/, "$1");
  shown = shown.replace(/(^|\n\n)\|[^\n]*$/, "$1");
  if (/(^|\n)(`{3,}|~{3,})/.test(shown)) return shown;
  shown = shown.replace(/\[([^\][\n]*)\]\([^)\s]*$/, "$1").replace(/(\*\*|__|~~|[*_`])$/, "");
  if ((shown.match(/`/g) ?? []).length % 2) return `${shown}\``;
  return (shown.match(/\*\*/g) ?? []).length % 2 ? `${shown.trimEnd()}**` : shown;
}

// Shows a text that grows. Blocks that cannot change any more stay as they are; only the last one is made anew.
export class LiveMarkdown {
  #source = "";
  #settled = 0;
  #level = 2;
  #links = {};
  #live = [];
  #timer = 0;

  constructor(element) {
    this.element = element;
  }

  get source() {
    return this.#source;
  }

  push(text) {
    this.#source += withoutMarks(text).replaceAll("\r", " ");
    this.#timer ||= setTimeout(() => this.#show(false), FLUSH_MS);
  }

  // From the beginning, with another text.
  reset(text) {
    clearTimeout(this.#timer);
    this.#source = text;
    this.#links = {};
    this.#begin();
    this.#show(false);
  }

  // Shows at once what there is.
  flush() {
    clearTimeout(this.#timer);
    this.#show(false);
  }

  finish() {
    clearTimeout(this.#timer);
    this.#show(true);
    // What stands above a reference may need it.
    if (Object.keys(this.#links).length) {
      this.#begin();
      this.#show(true);
    }
  }

  #begin() {
    this.#settled = 0;
    this.#level = 2;
    this.#live = [];
    this.element.replaceChildren();
  }

  #lex(text) {
    const lexer = new Lexer(marked.defaults);
    lexer.tokens.links = { ...this.#links };
    return lexer.lex(text);
  }

  #show(whole) {
    this.#timer = 0;
    const tail = this.#source.slice(this.#settled);
    const tokens = this.#lex(tail);
    let last = tokens.length - 1;
    while (last > 0 && tokens[last].type === "space") last -= 1;
    // Whether a line begins another block may show at its end only: "---" a rule, "--- x" more of the paragraph above.
    const begun = last > 0 && (tokens[last].type === "table" ? /\n.*\n/ : /^\p{L}|\n/u).test(tokens[last].raw);
    const stable = whole ? tokens : tokens.slice(0, begun ? last : 0);
    const length = stable.reduce((sum, token) => sum + token.raw.length, 0);
    const made = document.createDocumentFragment();
    if (length > 0 && stable.length) {
      for (const { type, tag, href, title } of stable) if (type === "def") this.#links[tag] ??= { href, title };
      const fragment = clean(stable);
      this.#level = settle(fragment, this.#level);
      made.append(fragment);
      this.#settled += length;
    }
    const growing = whole ? "" : mended(tail.slice(length));
    const live = growing.trim() ? clean(this.#lex(growing)) : document.createDocumentFragment();
    settle(live, this.#level);
    const nodes = [...live.childNodes];
    made.append(live);
    for (const node of this.#live) node.remove();
    this.element.append(made);
    this.#live = nodes;
  }
}
