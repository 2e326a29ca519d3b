// The form for a new value, by the declared type; the server reads and checks it as it does the commands' text.
import { h } from "../app/dom.js";
import { F } from "./view_words.js";

// {field: the element, text(): what is sent}
export function editorOf(name, flag) {
  const id = "act-value";
  const input = inputOf(id, flag);
  const hint = hintOf(flag);
  const field = h(
    "div",
    { class: "field" },
    h("label", { for: id }, F.newValue(name, flag.type)),
    input,
    hint && h("p", { class: "hint", id: "act-value-hint" }, hint),
  );
  if (hint) input.setAttribute("aria-describedby", "act-value-hint");
  input.autofocus = true;
  return { field, text: () => (flag.type === "float" ? input.value.replace(",", ".") : input.value) };
}

function inputOf(id, flag) {
  const choices = flag.type === "bool" ? [true, false] : flag.type === "list" ? null : flag.choices;
  if (choices) {
    const chosen = flag.type === "bool" ? !flag.value : flag.value;
    return h("select", { id }, choices.map((one) => h("option", { value: String(one), selected: one === chosen }, String(one))));
  }
  if (flag.type === "int" || flag.type === "float") {
    return h("input", { id, type: "text", inputmode: flag.type === "int" ? "numeric" : "decimal", autocomplete: "off", value: flag.value ?? "" });
  }
  const text = typeof flag.value === "string" ? flag.value : JSON.stringify(flag.value, null, flag.type === "dict" ? 1 : 0);
  const area = h("textarea", { id, rows: text?.length > 80 ? 8 : 2, spellcheck: "false" });
  area.value = text ?? "";
  return area;
}

function hintOf({ type, minimum: low, maximum: high }) {
  if (type === "list") return F.list;
  if (type === "dict") return F.dict;
  if (low !== undefined && high !== undefined) return F.range(low, high);
  if (low !== undefined) return F.atLeast(low);
  return high === undefined ? "" : F.atMost(high);
}
