// Questions before something happens. <dialog> keeps the focus inside and gives it back; Escape says no.
import { h } from "./dom.js";
import { F } from "./feature_strings.js";

let count = 0;

// Resolves when the dialog is closed. `focus` is the element that is asked first.
export function show(dialog, focus) {
  // Escape is the dialog's here, it stops no answer.
  dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  focus?.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

export function frame(title, ...children) {
  count += 1;
  const id = `dialog-${count}`;
  return h("dialog", { class: "dialog", "aria-labelledby": id }, h("h2", { id, class: "dialog-title" }, title), ...children);
}

// Resolves to whether the person agreed.
export async function confirm({ title, text, yes }) {
  const no = h("button", { class: "button", type: "button", onclick: () => dialog.close("") }, F.cancel);
  const dialog = frame(
    title,
    h("p", {}, text),
    h(
      "div",
      { class: "dialog-actions" },
      no,
      h("button", { class: "button danger", type: "button", onclick: () => dialog.close("yes") }, yes),
    ),
  );
  return (await show(dialog, no)) === "yes";
}

// Resolves to one line of text, null if the person would rather not.
export async function line({ title, label, value, most, yes }) {
  const input = h("input", { id: "dialog-line", type: "text", maxlength: most, required: true, autocomplete: "off" });
  input.value = value;
  const form = h(
    "form",
    { class: "dialog-form", novalidate: true },
    h("div", { class: "field" }, h("label", { for: "dialog-line" }, label), input),
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { class: "button", type: "button", onclick: () => dialog.close("") }, F.cancel),
      h("button", { class: "button primary", type: "submit" }, yes),
    ),
  );
  const dialog = frame(title, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) dialog.close("yes");
    else input.setAttribute("aria-invalid", "true");
  });
  const done = show(dialog, input);
  input.select();
  return (await done) === "yes" ? input.value.trim() : null;
}
