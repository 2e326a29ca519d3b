// Light, dark, or as the system has it; the choice is kept in this browser.
import { $ } from "./dom.js";
import { S } from "./strings.js";

const ORDER = ["auto", "light", "dark"];
const KEPT = "rom.theme";

const chosen = () => document.documentElement.dataset.theme ?? "auto";

function choose(theme) {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, theme);
  } catch {
    // It lasts as long as this page.
  }
  tell();
}

function tell() {
  const button = $("#theme");
  button.setAttribute("aria-label", S.theme[chosen()]);
  button.title = S.theme[chosen()];
}

export function start() {
  $("#theme").addEventListener("click", () => choose(ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length]));
  tell();
}
