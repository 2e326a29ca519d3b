// The one text area: Enter sends, Shift+Enter breaks a line, Escape stops an answer.
import { on } from "./bus.js";
import { ask, isRunning, stop } from "./chat.js";
import { $, h } from "./dom.js";
import { S } from "./strings.js";

// What goes out with a question: functions that hand over {name, file_id} and forget them. Attachments add one.
export const carriers = [];

// Reasons for which nothing is sent at the moment, as an upload that runs: functions that return a boolean.
export const hindrances = [];

export function start() {
  const area = $("#question");
  $("#composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  area.addEventListener("input", fit);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isRunning() && !event.defaultPrevented) stop();
  });
  $("#stop").addEventListener("click", () => {
    stop();
    area.focus();
  });
  $("#examples").append(
    ...S.examples.map((text) =>
      h("li", {}, h("button", { class: "example", type: "button", onclick: () => fill(text) }, text)),
    ),
  );
  on("turn:started", () => toggle(true));
  on("turn:ended", () => toggle(false));
  on("conversation:fresh", () => area.focus());
}

export function fill(text) {
  const area = $("#question");
  area.value = text;
  fit();
  area.focus();
}

function send() {
  const area = $("#question");
  const text = area.value;
  if (isRunning() || !text.trim() || hindrances.some((hinders) => hinders())) return;
  const attachments = carriers.flatMap((carry) => carry());
  area.value = "";
  fit();
  ask(text, attachments);
}

function fit() {
  const area = $("#question");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

function toggle(running) {
  const focused = document.activeElement;
  const [shown, hidden] = running ? ["#stop", "#send"] : ["#send", "#stop"];
  $(shown).hidden = false;
  $(hidden).hidden = true;
  if (focused === $(hidden)) $(shown).focus();
}
