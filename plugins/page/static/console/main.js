// Signs in, shows one view at a time, and keeps the top of the page: is it well, how fresh is that, the kill switch.
import { on } from "../app/bus.js";
import { $ } from "../app/dom.js";
import { start as startTheme } from "../app/theme.js";
import * as canary from "./canary.js";
import * as flags from "./flags.js";
import * as glance from "./glance.js";
import * as history from "./history.js";
import * as live from "./live.js";
import * as places from "./places.js";
import * as plots from "./plots.js";
import * as turns from "./turns.js";
import * as verdict from "./verdict.js";
import { authorise, get, kept } from "./api.js";
import { S } from "./words.js";

const NOTHING = { show() {}, hide() {} };
// By the part of the address behind #.
const VIEWS = { agora: NOTHING, turnos: turns, configuracoes: flags, historico: history, canario: canary };
let signedIn = false;
let shown = null;

async function signIn(token) {
  authorise(token);
  try {
    await get("/admin/status");
  } catch (error) {
    // With the settings' routes switched off there are still figures and turns.
    if (error.code !== "plugin_disabled") throw error;
    await get("/admin/turns", { limit: 1 });
  }
  signedIn = true;
  document.documentElement.classList.add("signed-in");
  $("#sign-in").hidden = true;
  $("#console").hidden = false;
  live.start();
  verdict.start();
  route();
  $("#verdict-state").focus();
}

function signOut(error = "") {
  const was = signedIn;
  signedIn = false;
  authorise("");
  live.stop();
  verdict.stop();
  VIEWS[shown]?.hide();
  shown = null;
  if ($("#act").open) $("#act").close();
  document.documentElement.classList.remove("signed-in");
  $("#console").hidden = true;
  $("#sign-in").hidden = false;
  $("#sign-in-error").textContent = error;
  if (was) $("#token").focus();
}

async function submit(event) {
  event.preventDefault();
  const button = $("#sign-in-form button");
  const field = $("#token");
  const error = $("#sign-in-error");
  const token = field.value.trim();
  error.textContent = token ? "" : S.signIn.missing;
  field.setAttribute("aria-invalid", String(!token));
  if (!token) return field.focus();
  // What no header can carry is no token.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    error.textContent = S.signIn.wrong;
    field.setAttribute("aria-invalid", "true");
    return field.focus();
  }
  button.disabled = true;
  button.textContent = S.signIn.working;
  try {
    await signIn(token);
    field.value = "";
  } catch (refusal) {
    if (refusal.code === undefined) throw refusal;
    authorise("");
    error.textContent = refusal.status === 401 ? S.signIn.wrong : refusal.message;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } finally {
    button.disabled = false;
    button.textContent = S.signIn.enter;
  }
}

function route() {
  if (!signedIn) return;
  const [wanted] = location.hash.slice(1).split("/");
  const name = wanted in VIEWS ? wanted : "agora";
  if (name !== shown) {
    VIEWS[shown]?.hide();
    for (const other of Object.keys(VIEWS)) $(`#view-${other}`).hidden = other !== name;
    shown = name;
    $("#console").dataset.view = name;
    VIEWS[name].show();
  }
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  startTheme();
  glance.start();
  plots.start();
  places.start();
  for (const view of [turns, flags, history, canary]) view.start();
  $("#sign-in-form").addEventListener("submit", submit);
  $("#sign-out").addEventListener("click", () => signOut());
  on("session:refused", () => signedIn && signOut(S.signIn.ended));
  addEventListener("hashchange", route);
  if (!kept()) return;
  try {
    await signIn(kept());
  } catch (refusal) {
    signOut(refusal.status === 401 ? S.signIn.ended : refusal.message);
  }
}

start();
