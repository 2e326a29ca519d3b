// Begins: signs in, or takes up the session of this browser, and starts what the server offers.
import { emit, on } from "./bus.js";
import * as chat from "./chat.js";
import * as composer from "./composer.js";
import { fresh } from "./conversation.js";
import { $, announce } from "./dom.js";
import { FEATURES } from "./features.js";
import { close, has, kept, keysNeeded, open, session } from "./session.js";
import { S } from "./strings.js";
import * as theme from "./theme.js";

const started = new Set();

// A feature is started once, and only where its plugin is on. One that cannot be had leaves the rest as it is.
async function startFeatures() {
  const wanted = FEATURES.filter(({ plugin, load }) => !started.has(load) && (!plugin || has(plugin)));
  const loaded = await Promise.allSettled(wanted.map(({ load }) => load()));
  for (const [place, { value: feature, reason }] of loaded.entries()) {
    if (!feature) {
      console.error(reason);
      continue;
    }
    started.add(wanted[place].load);
    feature.start();
  }
  emit("features:started");
}

async function enter(key, name) {
  await open(key, name);
  const { capabilities } = session;
  $("#stand-in").hidden = !capabilities.stand_in;
  $("#who").textContent = name;
  $("#key").value = "";
  // Before anything is seen, so that nothing moves.
  await startFeatures();
  $("#sign-in").hidden = true;
  $("#app").hidden = false;
  $("#question").focus();
}

function refuse(message, field = $("#key")) {
  $("#sign-in-error").textContent = message;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

async function signIn(event) {
  event.preventDefault();
  const [key, name] = [$("#key").value.trim(), $("#name").value.trim()];
  const button = $("#sign-in-form button[type=submit]");
  $("#sign-in-error").textContent = "";
  $("#key").removeAttribute("aria-invalid");
  if (keysNeeded && !key) return refuse(S.signIn.keyMissing);
  button.textContent = S.signIn.working;
  try {
    await enter(key, name);
  } catch (error) {
    refuse(error.code === "unauthorized" ? S.signIn.wrong : error.message);
  } finally {
    button.textContent = S.signIn.enter;
  }
}

function leave({ error }) {
  $("#app").hidden = true;
  $("#sign-in").hidden = false;
  $("#sign-in-error").textContent = error ? S.signIn.ended : "";
  (keysNeeded ? $("#key") : $("#name")).focus();
}

async function begin() {
  theme.start();
  chat.start();
  composer.start();
  $("#sign-in-form").addEventListener("submit", signIn);
  $("#sign-out").addEventListener("click", () => close());
  $("#new-conversation").addEventListener("click", () => {
    fresh();
    announce(S.announce.fresh);
  });
  on("session:closed", leave);
  const known = kept();
  if (known && (known.key || !keysNeeded)) {
    try {
      return await enter(known.key, known.name);
    } catch (error) {
      close();
      document.documentElement.classList.remove("signed-in");
      refuse(error.code === "unauthorized" ? S.signIn.ended : error.message);
    }
  } else close();
  (keysNeeded ? $("#key") : $("#name")).focus();
}

begin();
