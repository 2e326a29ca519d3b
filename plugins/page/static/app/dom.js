// Elements without strings of HTML: what is given as text stays text.

export const $ = (selector, root = document) => root.querySelector(selector);

// h("p", {class: "note", onclick: f, "aria-label": "…"}, "text", element): null and false children are left out.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// An icon of 24 × 24 from path data; its meaning is said by the element around it.
export function glyph(...paths) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const data of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", data);
    svg.append(path);
  }
  return svg;
}

// Says `text` to a screen reader, once it has time.
export function announce(text) {
  const status = $("#status");
  if (status.textContent === text) status.textContent = "";
  status.textContent = text;
}

// Resolves to whether it was possible. Outside https and localhost browsers have no clipboard but the old command.
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted: the old way may be.
    }
  }
  const area = h("textarea", { class: "sr-only", readonly: true, "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus?.();
  return done;
}

// What was shown last time is not acted upon while it is loaded anew: somebody may have changed it since.
export function inertUntil(loading, part) {
  part.inert = true;
  loading.finally(() => {
    part.inert = false;
  });
}
