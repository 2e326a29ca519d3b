// The conversations that the server keeps, at the side: newest first, search, open, rename, erase, export, print.
import { getJson } from "./api.js";
import { emit, on } from "./bus.js";
import { isRunning, showPast } from "./chat.js";
import { conversation, fresh, take } from "./conversation.js";
import { lately } from "./dates.js";
import { confirm, line } from "./dialogs.js";
import { $, announce, glyph, h } from "./dom.js";
import { F } from "./feature_strings.js";
import { session } from "./session.js";
import { print, saveMarkdown } from "./sheet.js";

const PAGE = 30;
const TITLE_CHARS = 60;
const TYPING_MS = 250;
const KEPT = "rom.conversation";
const NARROW = window.matchMedia("(max-width: 760px)");
const MORE = "M5 12h.01M12 12h.01M19 12h.01";
const CLOSE = "M6 6l12 12M18 6L6 18";

const T = F.side;
const items = new Map();
let next = null;
let words = "";
let asked = 0;
let opening = 0;
let loading = Promise.resolve();
let parts = {};

const side = () => $("#conversations");
const toggle = () => $("#toggle-conversations");

// The address of a conversation, or of all; whose they are goes along.
export function address(id = "", query = {}) {
  const sent = new URLSearchParams(session.name ? { ...query, user: session.name } : query).toString();
  return `/api/conversations${id && `/${encodeURIComponent(id)}`}${sent && `?${sent}`}`;
}

export function start() {
  build();
  NARROW.addEventListener("change", () => reveal(!NARROW.matches));
  reveal(!NARROW.matches);
  toggle().hidden = false;
  toggle().addEventListener("click", () => reveal(side().hidden, true));
  side().addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    const shown = event.target.closest(".side-item")?.querySelector('.side-more[aria-expanded="true"]');
    if (shown) return unfold(shown, false);
    if (NARROW.matches) reveal(false, true);
  });
  on("conversation:began", ({ id }) => {
    remember(id);
    load();
  });
  // As a run a conversation is there once the run has begun, which its second event tells.
  on("turn:event", ({ turn, event }) => {
    if (event === "start" || turn.listed || items.has(conversation.id)) return;
    turn.listed = true;
    load();
  });
  on("conversation:grew", () => load());
  on("conversation:fresh", () => {
    remember("");
    name("");
    mark();
    if (NARROW.matches) reveal(false);
  });
  on("session:closed", () => {
    asked += 1;
    opening += 1;
    remember("");
    name("");
    announce("");
    items.clear();
    parts.list.replaceChildren();
    parts.search.value = words = "";
    if (NARROW.matches) reveal(false);
  });
  on("session:opened", () => load());
  load();
  const kept = remembered();
  if (kept) open(kept, { quietly: true });
}

function build() {
  const search = h("input", { type: "search", id: "search", placeholder: T.search, autocomplete: "off", maxlength: 200 });
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      words = search.value.trim();
      load();
    }, TYPING_MS);
  });
  parts = {
    search,
    list: h("ul", { class: "side-list", "aria-labelledby": "side-title" }),
    state: h("p", { class: "side-state hint", role: "status" }, T.loading),
    more: h("button", { class: "button wide side-next", type: "button", hidden: true, onclick: () => load({ more: true }) }, T.more),
  };
  const close = h("button", { class: "button icon side-close", type: "button", "aria-label": T.hide, onclick: () => reveal(false, true) });
  close.append(glyph(CLOSE));
  side().append(
    h("div", { class: "side-head" }, h("h2", { id: "side-title", class: "side-title" }, T.title), close),
    h("div", { class: "side-search", role: "search" }, h("label", { class: "sr-only", for: "search" }, T.search), search),
    parts.state,
    parts.list,
    parts.more,
  );
  const scrim = h("div", { id: "scrim", class: "scrim", hidden: true, onclick: () => reveal(false, true) });
  $("#app").append(scrim);
}

// On a narrow screen the side is a drawer over the rest, which nobody reaches meanwhile.
function reveal(visible, byHand = false) {
  const drawer = visible && NARROW.matches;
  side().hidden = !visible;
  $("#scrim").hidden = !drawer;
  for (const other of ["#chat", ".bar", ".skip"]) $(other).inert = drawer;
  toggle().setAttribute("aria-expanded", String(visible));
  toggle().setAttribute("aria-label", visible ? T.hide : T.show);
  if (!byHand) return;
  if (drawer) parts.search.focus();
  else toggle().focus();
}

// Asks for the first page, or for the one that follows. An answer that was overtaken is dropped.
function load(which) {
  loading = fetchPage(which);
  return loading;
}

// Resolves when the list is what the server said last.
export const listed = () => loading;

async function fetchPage({ more = false } = {}) {
  if (!session.capabilities) return;
  asked += 1;
  const mine = asked;
  const query = { limit: PAGE };
  if (words) query.q = words;
  if (more && next) query.before = next;
  let page;
  try {
    page = await getJson(address("", query));
  } catch (error) {
    if (mine === asked) parts.state.textContent = error.message;
    return;
  }
  if (mine !== asked) return;
  const known = more ? [...parts.list.children].map((item) => item.dataset.id) : [];
  const fetched = page.conversations.map((one) => (show(one), one.id));
  next = page.next;
  arrange([...new Set([...known, ...fetched])]);
  parts.more.hidden = !next;
  const count = parts.list.childElementCount;
  parts.state.textContent = count ? (words ? T.found(count) : "") : words ? T.notFound : T.none;
  mark();
}

// The list in this order; what has the focus keeps it.
function arrange(ids) {
  const shown = [...parts.list.children].map((item) => item.dataset.id);
  for (const id of [...items.keys()]) if (!ids.includes(id)) items.delete(id);
  if (ids.length === shown.length && ids.every((id, place) => id === shown[place])) return;
  const focused = parts.list.contains(document.activeElement) ? document.activeElement : null;
  parts.list.replaceChildren(...ids.map((id) => items.get(id).element));
  if (focused?.isConnected) focused.focus();
}

function show(one) {
  const known = items.get(one.id);
  if (known) return known.update(one);
  const title = h("span", { class: "side-name" });
  const when = h("span", { class: "side-when" });
  const actions = h("div", { class: "side-actions", id: `of-${one.id}`, hidden: true });
  const more = h("button", { class: "button icon quiet side-more", type: "button", "aria-expanded": "false", "aria-controls": actions.id });
  more.append(glyph(MORE));
  more.addEventListener("click", () => unfold(more, actions.hidden));
  const act = (label, does) =>
    h("button", { class: "button quiet", type: "button", onclick: () => does(items.get(one.id)?.shown ?? one) }, label);
  actions.append(act(T.rename, rename), act(T.exportMarkdown, exportOne), act(T.print, printOne), act(T.erase, erase));
  const opener = h("button", { class: "side-open", type: "button", onclick: () => open(one.id) }, title, when);
  const element = h("li", { class: "side-item", "data-id": one.id }, h("div", { class: "side-row" }, opener, more), actions);
  const item = {
    element,
    opener,
    update(fresh) {
      item.shown = fresh;
      title.textContent = fresh.title;
      when.textContent = `${lately(fresh.updated_at)} · ${T.turns(fresh.turns)}`;
      more.setAttribute("aria-label", T.options(fresh.title));
      if (fresh.id === conversation.id) name(fresh.title);
    },
  };
  item.update(one);
  items.set(one.id, item);
}

function unfold(button, visible) {
  for (const other of side().querySelectorAll('.side-more[aria-expanded="true"]')) {
    other.setAttribute("aria-expanded", "false");
    document.getElementById(other.getAttribute("aria-controls")).hidden = true;
  }
  button.setAttribute("aria-expanded", String(visible));
  document.getElementById(button.getAttribute("aria-controls")).hidden = !visible;
  if (!visible) button.focus();
}

function mark() {
  for (const [id, { opener }] of items) {
    if (id === conversation.id) opener.setAttribute("aria-current", "true");
    else opener.removeAttribute("aria-current");
  }
}

function name(title) {
  $("#chat-title").textContent = title || F.sheet.untitled;
  document.title = title ? `${title} · ROM` : "ROM · Assistente jurídico";
}

// "" for one that is not in the list.
export const titleOf = (id) => items.get(id)?.shown.title ?? "";

// Shows a conversation. Resolves to what the server has of it, null if it could not be had or another was chosen.
export async function open(id, { quietly = false } = {}) {
  opening += 1;
  const mine = opening;
  let found;
  try {
    found = await getJson(address(id));
  } catch (error) {
    if (mine !== opening) return null;
    if (error.status === 404) {
      remember("");
      items.get(id)?.element.remove();
      if (quietly) emit("conversation:missing", { id });
    }
    if (!quietly || error.status !== 404) parts.state.textContent = error.status === 404 ? T.gone : error.message;
    return null;
  }
  if (mine !== opening || (quietly && (isRunning() || conversation.id))) return null;
  take(id);
  remember(id);
  showPast(found.messages);
  emit("conversation:opened", found);
  name(found.title);
  mark();
  if (!quietly) {
    if (NARROW.matches) reveal(false);
    $("#log").focus();
    announce(T.opened(found.title));
  }
  return found;
}

async function rename({ id, title }) {
  const given = await line({ title: T.renameTitle, label: T.renameLabel, value: title, most: TITLE_CHARS, yes: T.renameYes });
  if (given === null || given === title) return;
  await trying(async () => {
    const json = session.name ? { title: given, user: session.name } : { title: given };
    show(await getJson(`/api/conversations/${encodeURIComponent(id)}`, { method: "PATCH", json }));
    announce(T.renamed);
    load();
  });
}

async function erase({ id, title }) {
  if (!(await confirm({ title: T.eraseTitle, text: T.eraseText(title), yes: T.erase }))) return;
  await trying(async () => {
    await getJson(address(id), { method: "DELETE" });
    const beside = items.get(id)?.element;
    const neighbour = (beside?.nextElementSibling ?? beside?.previousElementSibling)?.querySelector(".side-open");
    beside?.remove();
    items.delete(id);
    if (conversation.id === id) fresh();
    (neighbour ?? parts.search).focus();
    announce(T.erased);
    load();
  });
}

async function exportOne({ id }) {
  await trying(async () => {
    saveMarkdown(await getJson(address(id)));
    announce(T.exported);
  });
}

async function printOne({ id }) {
  if (conversation.id !== id && !(await open(id))) return;
  if (NARROW.matches) reveal(false);
  print();
}

async function trying(does) {
  try {
    await does();
  } catch (error) {
    if (!error.code) throw error;
    parts.state.textContent = error.message;
  }
}

function remember(id) {
  try {
    if (id) sessionStorage.setItem(KEPT, id);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Then a reload begins anew.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}
