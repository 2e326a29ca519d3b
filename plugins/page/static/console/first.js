// Runs before the first paint: no flash of the other theme, none of the sign-in form for whoever is signed in.
"use strict";
(function () {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("rom.theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    if (sessionStorage.getItem("rom.console")) root.classList.add("signed-in");
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
