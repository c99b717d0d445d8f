// Opens links of the class schedsite-dialog in the dialog of the page; without it they are ordinary pages.
"use strict";
(() => {
  let base = "";
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.schedsite-dialog");
    const dialog = document.getElementById("schedsite-dialog");
    if (!link || !dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const href = link.getAttribute("href");
    const url = href.startsWith("?") ? base + href : href;
    base = url.split("?")[0];
    const answer = await fetch(url, { headers: { "X-Requested-With": "dialog" } });
    if (!answer.ok) { window.location = url; return; }
    // The server escapes every stored string; the answer is our own template.
    dialog.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
    document.dispatchEvent(new Event("schedsite:filled"));
    if (!dialog.open) dialog.showModal();
  });
})();
