// Files that go along with a question: by button, drop or paste. What cannot be sent is said before it is sent.
import { authorisation, call, errorOf, networkError } from "./api.js";
import { on } from "./bus.js";
import { carriers, hindrances } from "./composer.js";
import { $, announce, glyph, h } from "./dom.js";
import { F, size } from "./feature_strings.js";
import { has, limits } from "./session.js";
import { transport } from "./stream.js";

const CLIP = "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8l-8.5 8.4a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8";
const REMOVE = "M6 6l12 12M18 6L6 18";
const T = F.attach;

// {file, name, state: waiting | uploading | ready | failed, id, request, element, …}, in the order in which they came.
let files = [];
// Documents and images that earlier questions of this conversation brought along.
let before = { documents: 0, all: 0 };
let picker = null;

const extension = (name) => (name.includes(".") ? name.split(".").pop().toLowerCase() : "");
const kindOf = ({ name, type }) =>
  limits().kinds.find((kind) => kind.extensions.includes(extension(name))) ??
  (extension(name) ? undefined : limits().kinds.find((kind) => kind.media_type === type));
const listed = (image) =>
  limits().kinds.filter((kind) => kind.image === image).map((kind) => kind.extensions[0].toUpperCase()).join(", ");

export function start() {
  picker = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true" });
  picker.accept = limits().kinds.flatMap((kind) => kind.extensions.map((one) => `.${one}`)).join(",");
  picker.addEventListener("change", () => {
    add([...picker.files]);
    picker.value = "";
  });
  const button = h("button", { id: "attach", class: "button icon quiet", type: "button", "aria-label": T.button, title: T.button });
  button.setAttribute("aria-describedby", "attach-limits");
  button.append(glyph(CLIP));
  button.addEventListener("click", () => picker.click());
  $("#composer-tools").append(button, picker);
  const { documents, document_bytes: most, image_bytes: image } = limits();
  const whole = h("span", { class: "limits-whole" }, T.limits(documents, most, image, listed(false), listed(true)));
  const short = h("span", { class: "limits-short" }, T.limitsShort(documents, most, image));
  $("#question-hint").after(h("p", { id: "attach-limits", class: "hint" }, whole, short));
  carriers.push(handOver);
  hindrances.push(hinders);
  transport.post = post;
  $("#question").addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (!pasted.length) return;
    event.preventDefault();
    add(pasted.map(named));
  });
  dropping();
  on("conversation:fresh", () => begin({ documents: 0, all: 0 }));
  on("conversation:opened", ({ messages }) => {
    const brought = messages.flatMap(({ attachments }) => attachments ?? []);
    begin({ documents: brought.filter(({ kind }) => kind === "document").length, all: brought.length });
  });
  on("session:closed", () => begin({ documents: 0, all: 0 }));
}

function begin(count) {
  for (const one of files) one.request?.abort();
  files = [];
  before = count;
  draw();
}

// What is pasted is often "image.png" for everything.
function named(file, index) {
  if (file.name && file.name !== "image.png") return file;
  const now = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
  const end = extension(file.name) || file.type.split("/").pop();
  return new File([file], `${T.pasted} ${now}${index ? ` ${index + 1}` : ""}.${end}`, { type: file.type });
}

function dropping() {
  const chat = $("#chat");
  const veil = h("div", { class: "drop-veil", hidden: true, "aria-hidden": "true" }, T.drop);
  chat.append(veil);
  const brings = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  let depth = 0;
  const leave = () => {
    depth = 0;
    veil.hidden = true;
  };
  chat.addEventListener("dragenter", (event) => {
    if (!brings(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  chat.addEventListener("dragleave", () => (depth -= 1) <= 0 && leave());
  // Elsewhere on the page a file that is dropped would be opened in its place.
  window.addEventListener("dragover", (event) => brings(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    leave();
    if (!$("#app").hidden) add([...event.dataTransfer.files]);
  });
}

function add(given) {
  for (const file of given) {
    const one = { file, name: file.name, state: "waiting", image: kindOf(file)?.image ?? false };
    one.refused = refusal(one);
    if (one.refused) one.state = "failed";
    files.push(one);
    row(one);
    announce(one.refused || T.added(one.name));
  }
  draw();
  upload();
  $("#question").focus();
}

// Why this file cannot go along, "" if it can; without asking the server.
function refusal({ file, name }) {
  const kind = kindOf(file);
  const { body_bytes: body, document_bytes: most, image_bytes: image, documents, images } = limits();
  const sound = files.filter(({ state }) => state !== "failed");
  if (!kind) return T.kind(name, `${listed(false)}, ${listed(true)}`);
  if (!file.size) return T.empty(name);
  if (file.size > (kind.image ? image : most)) return T.large(name, file.size, kind.image ? image : most);
  if (!kind.image && before.documents + sound.filter((one) => !one.image).length >= documents) return T.tooMany(documents);
  if (before.all + sound.length >= images) return T.tooManyImages(images);
  if (sound.reduce((sum, one) => sum + one.file.size, file.size) > body) return T.together(body);
  return "";
}

// One at a time, so that what is small does not wait for all of what is large. Without plugin `files` they go along
// with the question.
function upload() {
  if (!has("files")) {
    for (const one of files) if (one.state === "waiting") change(one, "ready");
    return;
  }
  if (files.some(({ state }) => state === "uploading")) return;
  const one = files.find(({ state }) => state === "waiting");
  if (!one) return;
  const request = new XMLHttpRequest();
  const form = new FormData();
  form.append("file", one.file, one.name);
  one.request = request;
  one.percent = 0;
  request.open("POST", "/api/files");
  for (const [name, value] of Object.entries(authorisation())) request.setRequestHeader(name, value);
  request.responseType = "json";
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    one.percent = Math.floor((100 * loaded) / Math.max(total, 1));
    update(one);
  });
  request.addEventListener("load", () => settle(one, request));
  request.addEventListener("error", () => fail(one, networkError()));
  request.addEventListener("abort", () => upload());
  change(one, "uploading");
  request.send(form);
}

function settle(one, request) {
  one.request = null;
  if (request.status !== 201 || !request.response?.id) {
    const requestId = request.getResponseHeader("X-Request-Id") ?? "";
    return fail(one, errorOf({ request_id: requestId, ...(request.response ?? {}) }, request.status));
  }
  const { id, pages, warnings } = request.response;
  Object.assign(one, { id, pages, warnings: warnings ?? [] });
  change(one, "ready");
  announce([`${one.name}: ${T.ready}.`, ...one.warnings.map(({ text }) => text)].join(" "));
  upload();
}

function fail(one, error) {
  one.request = null;
  one.refused = error.message;
  one.again = error.code === "network" || error.status >= 500;
  change(one, "failed");
  announce(error.message);
  upload();
}

function remove(one) {
  const place = files.indexOf(one);
  files = files.filter((other) => other !== one);
  one.element.remove();
  one.request?.abort();
  // What is not deleted now expires by itself.
  if (one.id) call(`/api/files/${encodeURIComponent(one.id)}`, { method: "DELETE" }).catch(() => {});
  draw();
  announce(T.removed(one.name));
  const beside = files[Math.min(place, files.length - 1)];
  (beside?.element.querySelector(".file-remove") ?? $("#question")).focus();
}

function retry(one) {
  Object.assign(one, { refused: "", again: false });
  change(one, "waiting");
  upload();
  $("#question").focus();
}

function row(one) {
  const bar = h("progress", { class: "file-progress", max: "100", value: "0", "aria-label": T.progress(one.name) });
  const button = h("button", { class: "button icon quiet file-remove", type: "button", "aria-label": T.remove(one.name), onclick: () => remove(one) });
  button.append(glyph(REMOVE));
  one.parts = {
    bar,
    status: h("span", { class: "file-status" }),
    more: h("div", { class: "file-more" }),
  };
  one.element = h(
    "li",
    { class: "file" },
    h("div", { class: "file-row" }, h("span", { class: "file-name", title: one.name }, one.name), one.parts.status, button),
    bar,
    one.parts.more,
  );
  update(one);
}

function change(one, state) {
  one.state = state;
  update(one);
  draw();
}

function update(one) {
  const { bar, status, more } = one.parts;
  const { state, percent, pages, file } = one;
  one.element.dataset.state = state;
  bar.value = percent ?? 0;
  const told = {
    waiting: T.waiting,
    uploading: percent < 100 ? T.uploading(percent) : T.checking,
    ready: [size(file.size), pages ? T.pages(pages) : ""].filter(Boolean).join(", "),
    failed: "",
  };
  status.textContent = told[state];
  more.replaceChildren(
    ...(one.warnings ?? []).map(({ text }) => h("p", { class: "note" }, h("strong", {}, T.warning), " ", text)),
    ...(one.refused ? [h("p", { class: "file-refused" }, one.refused)] : []),
    ...(one.again ? [h("button", { class: "button quiet", type: "button", onclick: () => retry(one) }, T.retry)] : []),
  );
}

function draw() {
  const place = $("#attachments");
  let list = $("ul", place);
  if (!files.length) return place.replaceChildren();
  if (!list) {
    list = h("ul", { class: "file-list", "aria-label": F.sheet.attachments });
    place.append(list);
  }
  for (const { element } of files) if (!element.isConnected) list.append(element);
  if (!files.some(({ state }) => state !== "ready")) $(".attach-wait", place)?.remove();
}

// Nothing is sent while a file is on its way or cannot be read: the person says what is to become of it.
function hinders() {
  const waits = files.some(({ state }) => ["waiting", "uploading"].includes(state));
  const faulty = files.some(({ state }) => state === "failed");
  if (!waits && !faulty) return false;
  const told = waits ? T.wait : T.faulty;
  $(".attach-wait")?.remove();
  $("#attachments").append(h("p", { class: "attach-wait hint", role: "alert" }, told));
  return true;
}

function handOver() {
  const handed = files.map(({ id, name, file, image }) => (id ? { file_id: id, name, image } : { name, file, image }));
  before.documents += handed.filter(({ image }) => !image).length;
  before.all += handed.length;
  files = [];
  draw();
  return handed;
}

// As a form where files go along with the question, else as JSON.
async function post(body, signal, turn) {
  const brought = turn?.view.question.attachments ?? [];
  const sent = { ...body };
  if (!brought.some(({ file }) => file)) return call("/api/chat", { method: "POST", json: sent, signal });
  delete sent.attachments;
  const form = new FormData();
  for (const [name, value] of Object.entries(sent)) form.append(name, typeof value === "string" ? value : JSON.stringify(value));
  for (const { file, name } of brought) form.append("attachments", file, name);
  return call("/api/chat", { method: "POST", body: form, signal });
}
