// What tools found, shown as more than text (docs/api.md, "Cards"). All of it is data: nothing in it is trusted.
import { on } from "./bus.js";
import * as deadline from "./deadline.js";

const KINDS = { deadline: deadline.card };

const made = (call) => {
  const make = typeof call.card?.kind === "string" && Object.hasOwn(KINDS, call.card.kind) ? KINDS[call.card.kind] : null;
  return make ? make(call.card.data) : null;
};

export function start() {
  on("turn:event", ({ turn, event, data }) => {
    if (event !== "tool_result") return;
    const card = made(data);
    if (card) turn.view.place(card);
  });
  on("answer:past", ({ view, message }) => view.flow.prepend(...(message.tool_calls ?? []).map(made).filter(Boolean)));
}
