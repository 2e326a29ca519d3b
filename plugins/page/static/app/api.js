// The public HTTP API (docs/api.md): the key in a header, errors as they are told to a person.
import { emit } from "./bus.js";
import { S } from "./strings.js";

let credential = "";

export function authorise(key) {
  credential = key;
}

// The headers that let a request in; for an upload that needs XMLHttpRequest.
export function authorisation() {
  return credential ? { Authorization: `Bearer ${credential}` } : {};
}

// A refusal: `message` is for the person, `requestId` for whoever looks into the log, `code` of docs/api.md, or
// "network" (no answer), "cut" (an answer without an end), "http" (an answer that is not this server's).
export class ApiError extends Error {
  constructor({ message, code, status = 0, requestId = "", detail = "", retryAfter = 0 }) {
    super(message);
    Object.assign(this, { code, status, requestId, detail, retryAfter });
  }
}

export function errorOf(problem, status = problem.status, retryAfter = 0) {
  const { user_message: message, code, request_id: requestId, detail } = problem;
  return new ApiError({ message: message || S.errors.http, code: code || "http", status, requestId, detail, retryAfter });
}

export const networkError = () => new ApiError({ message: S.errors.network, code: "network" });

// The answer, if its status says that all went well. Throws ApiError, or AbortError where `signal` ended it.
export async function call(path, { method = "GET", json, body, headers = {}, signal } = {}) {
  const sent = { ...authorisation(), ...headers };
  if (json !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      body: json === undefined ? body : JSON.stringify(json),
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : networkError();
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const refused = errorOf(
    { request_id: response.headers.get("X-Request-Id") || "", ...problem },
    response.status,
    Number(response.headers.get("Retry-After")) || 0,
  );
  if (refused.status === 401) emit("session:refused", refused);
  throw refused;
}

export async function getJson(path, options) {
  const response = await call(path, options);
  return response.status === 204 ? null : response.json();
}
