// Light, dark, or as the reader's system is. Runs before the page is drawn, so that nothing flashes.
"use strict";

(function () {
  const root = document.documentElement;
  const NAME = "oncorobust-theme";

  // A browser may refuse storage (a private window, a file from disk): then a choice holds for the page.
  function stored() {
    try { return localStorage.getItem(NAME); } catch { return null; }
  }

  function keep(theme) {
    try { localStorage.setItem(NAME, theme); } catch { /* see above */ }
  }

  function isDark() {
    const chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  const before = stored();
  if (before === "light" || before === "dark") root.dataset.theme = before;
  root.classList.add("scripted");

  document.addEventListener("DOMContentLoaded", function () {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
      button.hidden = false;
      name();
      button.addEventListener("click", function () {
        root.dataset.theme = isDark() ? "light" : "dark";
        keep(root.dataset.theme);
        name();
      });
    }
  });
})();
