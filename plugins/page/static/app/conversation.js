// The conversation that is on the page. With plugin `conversations` the server keeps it and `id` is all that is needed;
// without, the page sends what was said before with every message, and forgets it when it is left.
import { emit } from "./bus.js";
import { has } from "./session.js";

// Bounds of POST /api/chat.
const MAX_MESSAGES = 1000;

export const conversation = { id: "", messages: [] };

export function fresh() {
  Object.assign(conversation, { id: "", messages: [] });
  emit("conversation:fresh");
}

// One that the server keeps is on the page from now on.
export function take(id) {
  Object.assign(conversation, { id, messages: [] });
}

// The part of a request's body that says what it belongs to.
export function context() {
  if (has("conversations")) return conversation.id ? { conversation_id: conversation.id } : { store: true };
  return conversation.messages.length ? { messages: conversation.messages.slice(-MAX_MESSAGES) } : {};
}

export function began(id) {
  if (!has("conversations") || conversation.id === id) return;
  conversation.id = id;
  emit("conversation:began", { id });
}

export function keep(question, reply) {
  if (!has("conversations")) {
    conversation.messages.push({ role: "user", content: question });
    if (reply.trim()) conversation.messages.push({ role: "assistant", content: reply });
  }
  emit("conversation:grew", { id: conversation.id });
}

// The last question and its answer, when the question is put once more. What the server keeps stays there.
export function forgetLast() {
  const asked = conversation.messages.findLastIndex((message) => message.role === "user");
  if (asked >= 0) conversation.messages.splice(asked);
}
