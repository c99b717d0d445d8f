// The editor of rules: what is removed, moved and added. Everything else comes from the server.
"use strict";
(() => {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove-item], [data-move]");
    if (!button) return;
    const item = button.closest("[data-item]");
    if ("move" in button.dataset) {
      if (button.dataset.move === "-1" && item.previousElementSibling) item.previousElementSibling.before(item);
      if (button.dataset.move === "1" && item.nextElementSibling) item.nextElementSibling.after(item);
      button.focus();
      return;
    }
    const list = item.parentElement;
    item.remove();
    if (!list.querySelector("[data-item]")) list.replaceChildren(); // for :empty, which white space is not
  });

  // The name of a rule in its summary follows what is typed.
  document.addEventListener("input", (event) => {
    if (!event.target.name || !event.target.name.endsWith("-name")) return;
    const shown = event.target.closest(".n-rule")?.querySelector("[data-name]");
    if (shown && event.target.value.trim()) shown.textContent = event.target.value;
  });

  // What was added on request is where the reader goes on.
  document.addEventListener("htmx:load", (event) => {
    const added = event.target.closest?.("[data-new]");
    if (!added) return;
    added.removeAttribute("data-new");
    added.querySelector("input:not([type=hidden]), textarea")?.focus();
  });
})();
