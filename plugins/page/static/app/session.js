// Who is signed in. Key and name stay in sessionStorage: they go when the browser session does.
import { authorise, getJson } from "./api.js";
import { emit, on } from "./bus.js";

const KEPT = "rom.session";

// `capabilities` is the answer of GET /api/capabilities (docs/api.md), null while nobody is signed in.
export const session = { name: "", capabilities: null };

export const keysNeeded = document.documentElement.dataset.keys !== "none";

export const has = (plugin) => session.capabilities?.plugins.includes(plugin) ?? false;

export const limits = () => session.capabilities.attachments;

// {key, name} of an earlier page of this browser session, or null.
export function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

// Throws ApiError if the key is refused.
export async function open(key, name) {
  authorise(key);
  try {
    session.capabilities = await getJson("/api/capabilities");
  } catch (error) {
    authorise("");
    throw error;
  }
  session.name = name;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ key, name }));
  } catch {
    // Then it lasts as long as this page.
  }
  emit("session:opened", session);
}

// `error` says why, where it was not the person's wish.
export function close(error = null) {
  const wasOpen = session.capabilities !== null;
  authorise("");
  Object.assign(session, { name: "", capabilities: null });
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // It was never kept.
  }
  document.documentElement.classList.remove("signed-in");
  if (wasOpen) emit("session:closed", { error });
}

on("session:refused", (error) => session.capabilities && close(error));
