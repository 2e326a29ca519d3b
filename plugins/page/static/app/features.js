// What is added to the page where its plugin is on: each module exports `start()`. `plugin: ""` is always on.

export const FEATURES = [];
