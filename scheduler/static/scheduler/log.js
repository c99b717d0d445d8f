// Follows the log of a running execution: only what is new is fetched, and it is always text.
"use strict";
(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const isAtEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.scrollTop = log.scrollHeight;
  async function follow() {
    try {
      const answer = await fetch(`${log.dataset.url}?offset=${log.dataset.offset}`);
      if (answer.ok) {
        const stays = !isAtEnd();
        log.append(await answer.text());
        log.dataset.offset = answer.headers.get("X-Next-Offset");
        if (!stays) log.scrollTop = log.scrollHeight;
        if (answer.headers.get("X-Is-Active") === "0") { window.location.reload(); return; }
      }
    } catch (error) { /* the connection is away; the next try finds it */ }
    window.setTimeout(follow, 1000);
  }
  if (log.dataset.active === "1") window.setTimeout(follow, 500);
})();
