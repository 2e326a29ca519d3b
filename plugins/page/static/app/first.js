// Runs before the first paint: no flash of the other theme, none of the sign-in form for whoever is signed in. Its tag's
// `data-session` names what the page keeps of a session.
"use strict";
(function () {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("rom.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (sessionStorage.getItem(document.currentScript.dataset.session)) root.classList.add("signed-in");
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
