// One question and its answer on the page. What happens is shown where it happens, in order: texts, tools, texts. What
// comes late and belongs below (notes, sources, actions) is added once the text has ended, so that nothing moves.
import { emit } from "./bus.js";
import { marked, number, place } from "./cited.js";
import { announce, copyText, glyph, h } from "./dom.js";
import { LiveMarkdown } from "./markdown.js";
import { S } from "./strings.js";

const COPY = "M9 9h11v11H9zM5 15H4V4h11v1";
const AGAIN = "M4 12a8 8 0 1 0 2.3-5.7M4 4v5h5";
const SPOKEN_CHARS = 1500;
let made = 0;

const capitalised = (text) => text.charAt(0).toLocaleUpperCase("pt-BR") + text.slice(1);

export class AnswerView {
  #running = new Map();
  #said = false;

  // `question` is {text, attachments: [{name}]}, `name` whose it is.
  constructor(question, name) {
    this.question = question;
    this.text = "";
    this.model = "";
    this.segments = [];
    this.status = h("span", { class: "answer-status" });
    this.tags = h("span", { class: "tags" });
    this.flow = h("div", { class: "flow" });
    this.notes = h("div", { class: "notes" });
    this.sources = h("div", { class: "sources" });
    this.cards = h("div", { class: "cards" });
    this.actions = h("div", { class: "actions" });
    this.files = h("ul", { class: "files" }, ...(question.attachments ?? []).map((file) => h("li", {}, file.name)));
    this.body = h(
      "div",
      { class: "answer" },
      h("div", { class: "answer-head" }, h("h2", { class: "author" }, S.assistant), this.status, this.tags),
      this.flow,
      this.cards,
      this.sources,
      this.notes,
      this.actions,
    );
    this.element = h(
      "article",
      { class: "turn" },
      h(
        "div",
        { class: "asked" },
        h("h2", { class: "author" }, name || S.you),
        h("p", { class: "asked-text" }, question.text),
        this.files.children.length ? this.files : null,
      ),
      this.body,
    );
  }

  state(name) {
    this.status.textContent = S.status[name] ?? "";
    this.element.dataset.state = name;
    this.body.setAttribute("aria-busy", String(!["done", "stopped", "failed"].includes(name)));
  }

  say(text) {
    this.#said ||= text.trim() !== "";
    const segment = this.#segment();
    this.text += text;
    segment.length += text.length;
    segment.live.push(text);
  }

  // Only the first `length` code points of what was said stay.
  takeBack(length) {
    this.text = [...this.text].slice(0, length).join("");
    for (const segment of this.segments) {
      if (!segment.live) continue;
      if (segment.start + segment.length <= this.text.length) continue;
      const left = this.text.slice(segment.start);
      segment.length = left.length;
      segment.live.reset("");
      segment.live.push(left);
    }
  }

  // A summary of what the model thought, folded.
  think(text) {
    if (!this.thoughts?.isConnected || this.segments.at(-1)?.live) {
      this.thoughts = h("pre", { class: "thoughts-text" });
      this.#add(h("details", { class: "thoughts" }, h("summary", {}, S.thoughts), this.thoughts));
    }
    this.thoughts.append(text);
  }

  toolCall({ id, name, label }) {
    const text = capitalised(label || S.tool.unnamed(name));
    const outcome = h("span", { class: "step-outcome" }, S.tool.running);
    const step = h("li", { class: "step", "data-state": "running" }, h("span", { class: "step-mark", "aria-hidden": "true" }), text, " ", outcome);
    let steps = this.segments.at(-1)?.steps;
    if (!steps) {
      steps = h("ul", { class: "steps" });
      this.#add(steps, { steps });
    }
    steps.append(step);
    this.#running.set(id, { step, outcome });
    announce(text);
  }

  toolResult({ id, status }) {
    const known = this.#running.get(id);
    if (!known) return;
    this.#running.delete(id);
    known.step.dataset.state = status;
    known.outcome.textContent = S.tool[status] ?? S.tool.error;
  }

  // Beside the text while there is none yet, else below it at the end.
  note(text, title = S.notes.attention, kind = "warning") {
    const note = h("div", { class: "note", "data-kind": kind }, h("strong", {}, title), " ", h("span", {}, text));
    if (this.#said && this.element.dataset.state !== "done") this.late = [...(this.late ?? []), note];
    else if (this.#said) this.notes.append(note);
    else this.#add(note);
  }

  // Where it happened, between the texts.
  place(element) {
    this.#add(element);
  }

  cite(citations) {
    if (!citations.length) return;
    const prefix = `fonte-${(made += 1)}-`;
    const items = citations.map(({ name, page, last_page: last, quote }, index) =>
      h(
        "li",
        { id: `${prefix}${index + 1}` },
        h("cite", {}, name),
        page ? `, ${S.sources.page(page, last)}` : "",
        h("blockquote", {}, quote),
      ),
    );
    this.#number(citations, (one) => `#${prefix}${one}`);
    this.sources.replaceChildren(
      h("h3", { class: "sources-title" }, S.sources.title),
      h("ol", { class: "sources-list" }, ...items),
      h("p", { class: "hint" }, S.sources.checked),
    );
  }

  // The text once more, with the numbers of its sources in it.
  #number(citations, address) {
    const ends = citations.map(({ reply }, index) => [reply ? place(this.text, reply.end) : -1, index + 1]);
    for (const { live, start, length } of this.segments) {
      const own = ends.filter(([end]) => end > start && end <= start + length);
      if (!live || !own.length) continue;
      live.reset(marked(live.source, own.map(([end, one]) => [end - start, one])));
      live.finish();
      number(live.element, address);
    }
  }

  standIn() {
    if (!this.tags.childElementCount) this.tags.append(h("strong", { class: "tag" }, S.standInTag));
  }

  fail(error) {
    const code = error.requestId
      ? h(
          "p",
          { class: "request-code" },
          `${S.requestCode}: `,
          h("code", {}, error.requestId),
          " ",
          this.#copyButton(S.actions.copyCode, () => error.requestId),
        )
      : null;
    this.notes.append(
      h("div", { class: "note", "data-kind": "error", role: "alert" }, h("strong", {}, S.notes.failed), " ", h("span", {}, error.message), code),
    );
  }

  // `state` is done, stopped or failed; `again` asks the same question once more.
  end(state, again) {
    for (const { live } of this.segments) live?.finish();
    for (const { step, outcome } of this.#running.values()) {
      step.dataset.state = "error";
      outcome.textContent = S.tool.error;
    }
    this.#running.clear();
    this.notes.prepend(...(this.late ?? []));
    this.late = [];
    this.state(state);
    if (this.text.trim()) this.actions.append(this.#copyButton(S.actions.copy, () => this.text.trim(), true));
    if (again) this.actions.append(h("button", { class: "button quiet again", type: "button", onclick: again }, glyph(AGAIN), S.actions.again));
    emit("answer:ended", { view: this, state });
    announce(state === "done" ? `${S.announce.done} ${this.flow.innerText.slice(0, SPOKEN_CHARS)}` : S.announce[state]);
  }

  // Of an earlier day: its answer, which may still come, is not whole.
  unfinished(text) {
    this.state("failed");
    this.notes.append(h("div", { class: "note", "data-kind": "warning" }, h("strong", {}, S.notes.attention), " ", h("span", {}, text)));
  }

  // An answer of an earlier day, whole.
  whole(text, state = "done") {
    if (text) this.say(text);
    for (const { live } of this.segments) live?.finish();
    this.state(state);
    if (text.trim()) this.actions.append(this.#copyButton(S.actions.copy, () => text.trim(), true));
  }

  #segment() {
    const last = this.segments.at(-1);
    if (last?.live) return last;
    const element = h("div", { class: "prose" });
    const segment = { live: new LiveMarkdown(element), start: this.text.length, length: 0 };
    this.#add(element, segment);
    return segment;
  }

  #add(element, segment = {}) {
    this.segments.push(segment);
    this.flow.append(element);
  }

  #copyButton(label, text, withIcon = false) {
    const shown = h("span", {}, label);
    const button = h("button", { class: "button quiet", type: "button" }, withIcon ? glyph(COPY) : null, shown);
    button.addEventListener("click", async () => {
      const done = await copyText(text());
      announce(done ? S.announce.copied : S.announce.copyFailed);
      if (!done) return;
      shown.textContent = S.actions.copied;
      setTimeout(() => (shown.textContent = label), 2000);
    });
    return button;
  }
}
