// A button with data-copy="ID" copies the text of that element and says so.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async function () {
    try {
      await navigator.clipboard.writeText(text.textContent.trim());
      said.textContent = "Copied.";
    } catch {
      // No permission: mark the text, so that one keystroke copies it.
      getSelection().selectAllChildren(text);
      said.textContent = "Marked: press Ctrl+C or ⌘C.";
    }
  });
}
