// What all pages share: dialogs, questions before what cannot be undone, notes, the connection, title and icon.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // htmx would add a style of its own, which the Content-Security-Policy refuses, and keep pages in localStorage.
  // It would also leave buttons that it has swapped in without their duties for 20 ms: a press would leave the page.
  Object.assign(window.htmx.config, { includeIndicatorStyles: false, historyCacheSize: 0, selfRequestsOnly: true, defaultSettleDelay: 0 });

  // --- parts that refresh themselves ---------------------------------------------------------------

  // Asked by hx-trigger: nothing is replaced while it is not seen, while something in it is chosen or typed into.
  window.mayRefresh = (id) => {
    const part = byId(id);
    if (!part || document.hidden || isLoggedOut() || document.querySelector("dialog[open]")) return false;
    if (part.querySelector("input[type=checkbox]:checked")) return false;
    return !part.contains(document.activeElement) || !document.activeElement.matches("input:not([type=checkbox]), textarea, select");
  };

  function showFailing() {
    const part = document.querySelector("[data-failing]");
    if (!part) return;
    const count = Number(part.dataset.failing);
    const title = document.title.replace(/^\s*\(\d+\)\s*/, "");
    const wanted = count ? `(${count}) ${title}` : title;
    if (document.title !== wanted) document.title = wanted;
    const icon = document.querySelector("link[rel=icon]");
    if (icon) {
      const href = icon.href.replace(/favicon(-failing)?\.svg/, count ? "favicon-failing.svg" : "favicon.svg");
      if (icon.href !== href) icon.href = href;
    }
  }

  // --- the log beside the history ------------------------------------------------------------------

  function showWhose(pane, button) {
    const row = button?.closest("tr");
    if (!row) return;
    for (const other of row.parentElement.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    pane.scrollIntoView({ block: "nearest" });
  }

  // --- dialog --------------------------------------------------------------------------------------

  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = byId("s-dialog");
    if (dialog && event.target.id === "s-dialog-body") {
      dialog.setAttribute("aria-label", dialog.querySelector("h2")?.textContent || "");
      if (!dialog.open) dialog.showModal();
      // On the last page the button that was pressed is gone; htmx keeps the focus on all that is still there.
      else if (!dialog.contains(document.activeElement)) (byId("history-newer") || byId("history-older") || dialog.querySelector("[data-close]"))?.focus();
    }
    if (event.target.id === "s-log-pane") showWhose(event.target, event.detail.requestConfig?.elt);
    // What was wrong with the schedule that was sent says nothing of the one that is typed now.
    if (event.target.id === "schedule-hint") event.target.closest(".field-line, .s-field").querySelector(".errorlist")?.remove();
    showFailing();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    else if (event.target.matches("dialog.s-dialog")) event.target.close();
  });

  // --- questions -----------------------------------------------------------------------------------

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !button.dataset.confirm || button.dataset.sure) return;
    event.preventDefault();
    const dialog = byId("s-confirm");
    const yes = dialog.querySelector("[value=yes]");
    const no = dialog.querySelector("[value=no]");
    byId("s-confirm-text").textContent = button.dataset.confirm;
    yes.textContent = button.dataset.yes || yes.dataset.default;
    no.textContent = button.dataset.no || no.dataset.default;
    yes.className = "calm" in button.dataset ? "s-button s-primary" : "s-button s-danger";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return;
      button.dataset.sure = "1";
      event.target.requestSubmit(button);
      delete button.dataset.sure;
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });

  // --- notes ---------------------------------------------------------------------------------------

  document.addEventListener("schedsite:note", (event) => {
    const { text, link, level } = event.detail;
    const note = document.createElement(link ? "a" : "p");
    note.className = `s-note s-${level === "warning" ? "warning" : "success"}`;
    note.textContent = text;
    if (link && link.startsWith("/")) note.href = link;
    byId("s-notes").append(note);
    window.setTimeout(() => note.remove(), level === "warning" ? 20000 : 8000);
  });

  // --- the connection ------------------------------------------------------------------------------

  const setOffline = (isAway) => { const banner = byId("s-offline"); if (banner) banner.hidden = !isAway; };
  document.addEventListener("schedsite:offline", (event) => setOffline(event.detail));
  // What only reads is asked for again until it comes; parts that refresh themselves do so anyway.
  const again = new WeakMap();
  function tryAgain({ elt, requestConfig, target }) {
    setOffline(true);
    if (requestConfig.verb !== "get" || (elt.getAttribute("hx-trigger") || "").startsWith("every")) return;
    window.clearTimeout(again.get(elt));
    again.set(elt, window.setTimeout(() => {
      if (elt.isConnected) window.htmx.ajax("GET", elt.getAttribute("hx-get"), { source: elt, target });
    }, 2000));
  }
  // A second press within a second, or before the answer, is a double click or a key held down: it is not meant. The
  // first answer may have replaced the button, so what counts is its id; disabling it would take the focus from it.
  const pressedAt = new Map();
  const underWay = new Set();
  const keyOf = ({ requestConfig }) => requestConfig.elt.id || requestConfig.elt;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isPressed(event.detail)) return;
    const key = keyOf(event.detail);
    const isTooSoon = underWay.has(key) || Date.now() - (pressedAt.get(key) ?? -Infinity) < 1000;
    pressedAt.set(key, Date.now());
    if (isTooSoon) event.preventDefault(); else underWay.add(key);
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    underWay.delete(keyOf(detail));
    if (!detail.successful) pressedAt.delete(keyOf(detail));  // it did nothing: the next press is meant
  });

  // What somebody pressed is not sent again by itself: it might be done twice. So they are told.
  const isPressed = ({ requestConfig }) => requestConfig.verb !== "get" && requestConfig.elt.matches("button");
  const tellLost = (why, errorId) => document.dispatchEvent(new CustomEvent("schedsite:note", {
    detail: { text: byId("s-notes").dataset[why] + (errorId ? ` (${errorId})` : ""), level: "warning" } }));
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (isPressed(detail)) tellLost("lost"); else tryAgain(detail);
  });
  document.addEventListener("htmx:responseError", ({ detail }) => {
    const { status } = detail.xhr;
    if (status === 401) setLoggedOut(true);
    else if (isPressed(detail)) tellLost(
      status === 503 ? "busy" : status >= 500 ? "failed" : "refused", detail.xhr.getResponseHeader("X-Error-Id"));
    else if (status >= 500) tryAgain(detail);
    else if (status === 403) window.location.reload();
  });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.xhr.status >= 400) return;
    setOffline(false);
    setLoggedOut(false);
    window.clearTimeout(again.get(event.detail.elt));
  });

  // --- logged out ----------------------------------------------------------------------------------

  // Nothing is asked for nor sent until the reader has logged in again elsewhere, so that nothing typed is lost.
  const isLoggedOut = () => byId("s-logged-out")?.hidden === false;
  function setLoggedOut(isOut) {
    const banner = byId("s-logged-out");
    if (!banner || banner.hidden === !isOut) return;
    banner.hidden = !isOut;
    if (!isOut) { document.dispatchEvent(new CustomEvent("schedsite:logged-in")); return; }
    setOffline(false);
    const link = banner.querySelector("a");
    link.search = new URLSearchParams({ next: window.location.pathname + window.location.search });
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();  // they cover the link
  }
  document.addEventListener("schedsite:logged-out", () => setLoggedOut(true));

  async function askWhetherLoggedIn() {
    if (!isLoggedOut() || document.hidden) return;
    try {
      const { probe } = byId("s-logged-out").dataset;
      const answer = await fetch(probe, { headers: { "X-Requested-With": "XMLHttpRequest" }, cache: "no-store" });
      if (answer.ok) setLoggedOut(false);
    } catch {
      // The connection is away: the banner stays, and the next time the reader comes back asks again.
    }
  }
  window.addEventListener("focus", askWhetherLoggedIn);
  document.addEventListener("visibilitychange", askWhetherLoggedIn);

  // Logging in changes the token that forms carry; the cookie has the present one.
  const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (isLoggedOut()) {
      event.preventDefault();
      event.stopPropagation();
      byId("s-logged-out").querySelector("a").focus();
      return;
    }
    const field = event.target.elements.csrfmiddlewaretoken;
    if (field && token()) field.value = token();
  }, true);
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.verb === "post" && token()) detail.parameters.csrfmiddlewaretoken = token();
  });

  // --- choosing several ----------------------------------------------------------------------------

  function showChosen() {
    const bar = byId("s-bulk");
    if (!bar) return;
    const count = document.querySelectorAll("#task-form input[name=_selected_action]:checked").length;
    bar.hidden = count === 0;
    bar.querySelector("[data-count]").textContent = count;
  }
  document.addEventListener("change", (event) => { if (event.target.name === "_selected_action") showChosen(); });

  // --- what fields say of each other ---------------------------------------------------------------

  // The id of a new task follows its name until somebody types another one.
  const idOf = (name) => name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9_-]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 64);
  document.addEventListener("input", ({ target }) => {
    const field = target.id && document.querySelector(`[data-id-from="${target.id}"]`);
    if (!field || field.value !== (field.dataset.suggested || "")) return;
    field.value = field.dataset.suggested = idOf(target.value);
  });
  document.addEventListener("change", (event) => {
    const { dataset, files } = event.target;
    if (!dataset.nameIn) return;
    byId(dataset.nameIn).textContent = files[0]?.name || "";
    event.stopPropagation();  // the theme would write the name into a text field, and fails without one
  }, true);

  // --- rows that are added and removed -------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add-row]");
    const remove = event.target.closest("[data-remove-row]");
    if (add) {
      const rows = byId(add.dataset.addRow);
      rows.append(rows.querySelector("template").content.cloneNode(true));
      rows.lastElementChild.querySelector("input").focus();
    } else if (remove) {
      remove.closest("[data-row]").remove();
    }
  });

  // The browser moves the focus with its first picture; until then, what somebody types already would be lost.
  function takeFocus() {
    const field = document.querySelector("[autofocus]");
    if (field && document.activeElement === document.body) field.focus();
  }

  // What the widgets of the admin leave without a name or a role.
  function nameFields() {
    for (const field of document.querySelectorAll(".select2-search__field:not([aria-label])")) {
      const label = field.closest(".form-row, .field-line, fieldset > div")?.querySelector("label");
      if (label) field.setAttribute("aria-label", label.textContent.replace("*", "").trim());
    }
    for (const icon of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) icon.setAttribute("role", "img");
  }
  window.addEventListener("load", () => window.setTimeout(nameFields));  // the widgets are made at this event, too

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const field = [...document.querySelectorAll("[data-shortcut]")].find((one) => one.dataset.shortcut === event.key);
    if (field) { event.preventDefault(); field.focus(); }
  });

  document.addEventListener("DOMContentLoaded", () => { takeFocus(); showFailing(); showChosen(); });
})();
