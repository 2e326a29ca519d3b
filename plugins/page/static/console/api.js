// The admin routes (docs/api.md), as the commands use them: the token in a header, the reason in the body.
import { emit } from "../app/bus.js";
import { S } from "./words.js";

const KEPT = "rom.console";
let token = "";

export function kept() {
  try {
    return sessionStorage.getItem(KEPT) || "";
  } catch {
    return "";
  }
}

// An empty one forgets it.
export function authorise(given) {
  token = given;
  try {
    if (given) sessionStorage.setItem(KEPT, given);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Then it lasts as long as this page.
  }
}

// What the server did not do, and why. `code` is of docs/api.md, or "network" (no answer), or "http" (an answer that is
// not this server's); `problems` are those of settings, [{name, message}]; `sent`: the request may have been carried out.
export class Refusal extends Error {
  constructor({ message, code = "http", status = 0, detail = "", problems = [], requestId = "", traceId = "", sent = false }) {
    super(message);
    Object.assign(this, { code, status, detail, problems, requestId, traceId, sent });
  }
}

// The answer, whatever its body is. Throws Refusal, or AbortError where `signal` ended it.
export async function open(path, { method = "GET", json, headers = {}, signal } = {}) {
  const sent = { Authorization: `Bearer ${token}`, ...headers };
  if (json !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      body: json === undefined ? undefined : JSON.stringify(json),
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ message: S.refused.network, code: "network", sent: method !== "GET" });
  }
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  if (refusal.status === 401 || refusal.code === "admin_closed") emit("session:refused", refusal);
  throw refusal;
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => ({}));
  const code = problem.code || "http";
  return new Refusal({
    message: S.refused[code] || S.refused.other(response.status),
    code,
    status: response.status,
    detail: problem.detail || "",
    problems: Array.isArray(problem.errors) ? problem.errors : [],
    requestId: problem.request_id || response.headers.get("X-Request-Id") || "",
    traceId: problem.trace_id || response.headers.get("X-Trace-Id") || "",
  });
}

export async function get(path, { signal, ...query } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  return (await open(path + search, { signal })).json();
}

// `ifVersion` is the version of the settings that the person has looked at: another one is refused with 412.
export async function post(path, json, { reason = "", ifVersion } = {}) {
  const headers = ifVersion ? { "If-Match": `"${ifVersion}"` } : {};
  return (await open(path, { method: "POST", json: reason ? { ...json, reason } : json, headers })).json();
}

// What a change of settings would come to, [{name, from, to}], as the server says; nothing is done.
export async function preview(path, json) {
  const { changed } = await post(`${path}?dry_run=true`, json);
  return Object.entries(changed).map(([name, change]) => ({ name, ...change }));
}
