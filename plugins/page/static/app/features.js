// What is added to the page where its plugin is on: each module exports `start()`. `plugin: ""` is always on.

export const FEATURES = [
  { plugin: "", load: () => import("./cards.js") },
  { plugin: "", load: () => import("./sheet.js") },
  { plugin: "", load: () => import("./attach.js") },
  { plugin: "conversations", load: () => import("./side.js") },
  { plugin: "runs", load: () => import("./runs.js") },
];
