// Logs: colours of terminals by an allow-list, following what is new, earlier parts, searching. Always text, never markup.
"use strict";
(() => {
  // --- colours ---------------------------------------------------------------------------------------

  const COLOUR = /^(3[0-7]|9[0-7]|4[0-7])$/;
  const STYLE = { 1: "a-bold", 2: "a-faint", 3: "a-italic", 4: "a-underline" };
  // CSI sequences, OSC sequences, and any other escape; all but colours are left out.
  const ESCAPE = /\x1b\[([0-9;:?<=>]*)[ -\/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -\/]*[0-~]?|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;
  const UNFINISHED = /\x1b(?:\[[0-9;:?<=>]*[ -\/]*|\][^\x07\x1b]{0,200})?$/;

  class Painter {
    // `line` is what of the last line is painted, which a carriage return lets the next text write over.
    constructor(target) { this.target = target; this.classes = new Set(); this.rest = ""; this.line = []; this.isAtReturn = false; }

    paint(text, atStart = null) {
      const parts = document.createDocumentFragment();
      let whole = this.rest + text;
      const cut = whole.match(UNFINISHED);
      this.rest = cut && cut.index > whole.length - 256 ? whole.slice(cut.index) : "";
      if (this.rest) whole = whole.slice(0, cut.index);
      let from = 0;
      for (const match of whole.matchAll(ESCAPE)) {
        this.add(parts, whole.slice(from, match.index));
        if (match[2] === "m") this.change(match[1]);
        from = match.index + match[0].length;
      }
      this.add(parts, whole.slice(from));
      if (atStart) atStart.before(parts); else this.target.append(parts);
    }

    add(parts, raw) {
      // What a return at the end means, only the text after it tells: the end of a line, or a line that is written over.
      let text = ((this.isAtReturn ? "\r" : "") + raw).replace(/\r+/g, "\r");
      this.isAtReturn = text.endsWith("\r");
      text = text.replace(/\r$/, "").replace(/\r\n/g, "\n");
      if (!text) return;
      if (text.split("\n", 1)[0].includes("\r")) {
        for (const node of this.line) node.remove();
        this.line = [];
      }
      if (text.includes("\r")) text = text.split("\n").map((line) => line.slice(line.lastIndexOf("\r") + 1)).join("\n");
      const end = text.lastIndexOf("\n") + 1;
      if (end) { this.put(parts, text.slice(0, end)); this.line = []; }
      if (end < text.length) this.line.push(this.put(parts, text.slice(end)));
    }

    put(parts, text) {
      let node = document.createTextNode(text);
      if (this.classes.size) {
        const span = document.createElement("span");
        span.className = [...this.classes].join(" ");
        span.append(node);
        node = span;
      }
      parts.append(node);
      return node;
    }

    change(codes) {
      const numbers = codes === "" ? ["0"] : codes.split(/[;:]/);
      for (let index = 0; index < numbers.length; index += 1) {
        const code = String(Number(numbers[index]));
        if (code === "38" || code === "48") { index += numbers[index + 1] === "5" ? 2 : 4; continue; }
        if (code === "0") this.classes.clear();
        else if (code === "22") { this.classes.delete("a-bold"); this.classes.delete("a-faint"); }
        else if (code === "39" || code === "49") this.drop(code === "39" ? /^a-[39]/ : /^a-4/);
        else if (STYLE[code]) this.classes.add(STYLE[code]);
        else if (COLOUR.test(code)) { this.drop(code.startsWith("4") ? /^a-4/ : /^a-[39]/); this.classes.add(`a-${code}`); }
      }
    }

    drop(pattern) { for (const name of [...this.classes]) if (pattern.test(name)) this.classes.delete(name); }
  }

  const painters = new WeakMap();

  function paintAll() {
    for (const log of document.querySelectorAll("pre[data-log]")) {
      if (painters.has(log)) continue;
      const painter = new Painter(log);
      painters.set(log, painter);
      const text = log.textContent;
      log.replaceChildren();
      painter.paint(text);
      if (log.closest(".s-pane, .s-attempt")) log.scrollTop = log.scrollHeight;
    }
  }

  // --- following -------------------------------------------------------------------------------------

  const tell = (isAway) => document.dispatchEvent(new CustomEvent("schedsite:offline", { detail: isAway }));

  // Returns a part of a log, or nothing when the reader is logged out; all else that is no part is a failure.
  async function read(log, offset) {
    const headers = { Accept: "text/plain", "X-Requested-With": "XMLHttpRequest" };
    const answer = await fetch(`${log.dataset.url}?offset=${offset}`, { headers });
    if (answer.status === 401) { document.dispatchEvent(new CustomEvent("schedsite:logged-out")); return null; }
    const until = answer.headers.get("X-Next-Offset");
    if (!answer.ok || answer.redirected || until === null) throw new Error(String(answer.status));
    return { text: await answer.text(), until: Number(until), isActive: answer.headers.get("X-Is-Active") === "1" };
  }

  function follow(log) {
    const box = document.querySelector("[data-log-follow]");
    const isAtEnd = () => log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
    let wait = 1000;
    // Who scrolls back wants to read; who scrolls to the end wants to follow again.
    if (box) log.addEventListener("scroll", () => { box.checked = isAtEnd(); });
    if (box) box.addEventListener("change", () => { if (box.checked) log.scrollTop = log.scrollHeight; });
    async function next() {
      try {
        const part = await read(log, log.dataset.offset);
        if (!part) { document.addEventListener("schedsite:logged-in", next, { once: true }); return; }
        tell(false);
        const { text } = part;
        const stays = box && !box.checked;
        if (text) { painters.get(log).paint(text); log.dispatchEvent(new CustomEvent("schedsite:grown")); }
        log.dataset.offset = part.until;
        if (text && !stays) log.scrollTop = log.scrollHeight;
        if (!part.isActive && !text) { log.dataset.active = "0"; return; }
        wait = text ? 250 : Math.min(wait * 1.3, 2000);
      } catch (error) {
        tell(true);
        wait = Math.min(wait * 2, 10000);
      }
      window.setTimeout(next, document.hidden ? Math.max(wait, 5000) : wait);
    }
    window.setTimeout(next, 300);
  }

  // --- what came before ------------------------------------------------------------------------------

  async function showEarlier(button, log) {
    const end = Number(button.dataset.end);
    button.disabled = true;
    const marker = document.createTextNode("");
    log.prepend(marker);
    const painter = new Painter(log);
    // What was painted so far would be painted again.
    const giveUp = () => {
      while (marker.previousSibling) marker.previousSibling.remove();
      marker.remove();
      button.disabled = false;
    };
    try {
      for (let offset = 0; offset < end;) {
        const part = await read(log, offset);
        if (!part) { giveUp(); return; }
        const bytes = new TextEncoder().encode(part.text);
        painter.paint(part.until <= end ? part.text : new TextDecoder().decode(bytes.slice(0, end - offset)), marker);
        if (part.until <= offset) break;
        offset = part.until;
      }
    } catch {
      tell(true);
      giveUp();
      return;
    }
    marker.remove();
    button.remove();
    log.dispatchEvent(new CustomEvent("schedsite:grown"));
  }

  // --- searching -------------------------------------------------------------------------------------

  function search(log, field, found) {
    let ranges = [];
    let here = -1;

    function find() {
      collect();
      here = -1;
      show(0);
    }

    // A match may begin in one piece of the text and end in another: pieces end where parts arrived or colours change.
    function collect() {
      ranges = [];
      if (!field.value) return;
      const wanted = new RegExp(field.value.replace(/[.*+?^${}()|[\]\\\/]/g, "\\$&"), "giu");
      const walker = document.createTreeWalker(log, NodeFilter.SHOW_TEXT);
      let [node, begin] = [walker.nextNode(), 0];
      const pieceAt = (at, isEnd) => {
        while (node && (isEnd ? at > begin + node.length : at >= begin + node.length)) {
          begin += node.length;
          node = walker.nextNode();
        }
        return [node, at - begin];
      };
      for (const match of log.textContent.matchAll(wanted)) {
        const range = new Range();
        const first = pieceAt(match.index, false);
        range.setEnd(...pieceAt(match.index + match[0].length, true));
        range.setStart(...first);
        ranges.push(range);
        if (ranges.length === 5000) break;
      }
      here = Math.min(here, ranges.length - 1);  // a line that is written over takes its matches with it
    }

    function mark() {
      // Only what is on the page is searched.
      const part = document.querySelector("[data-log-earlier]") ? ` ${found.dataset.part}` : "";
      const count = here >= 0 ? `${here + 1} / ${ranges.length}` : String(ranges.length);
      found.textContent = field.value ? count + part : "";
      if (!window.CSS || !CSS.highlights) return;
      CSS.highlights.set("s-found", new Highlight(...ranges));
      CSS.highlights.set("s-here", here >= 0 ? new Highlight(ranges[here]) : new Highlight());
    }

    function show(step) {
      if (ranges.length && step) here = (here + step + ranges.length) % ranges.length;
      mark();
      if (here >= 0) {
        const box = ranges[here].getBoundingClientRect();
        log.scrollTop += box.top - log.getBoundingClientRect().top - log.clientHeight / 2;
      }
    }

    field.addEventListener("input", find);
    // What is searched for is found in what comes later too; the place in the log stays.
    log.addEventListener("schedsite:grown", () => { if (field.value) { collect(); mark(); } });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); if (!ranges.length) find(); show(event.shiftKey ? -1 : 1); }
    });
  }

  document.addEventListener("htmx:afterSwap", paintAll);
  document.addEventListener("DOMContentLoaded", () => {
    paintAll();
    const log = document.getElementById("log");
    if (!log) return;
    const wrap = document.querySelector("[data-log-wrap]");
    const setWrap = () => log.classList.toggle("s-wrapped", wrap.checked);
    wrap.addEventListener("change", setWrap);
    setWrap();
    log.scrollTop = log.scrollHeight;
    search(log, document.querySelector("[data-log-search]"), document.querySelector("[data-log-found]"));
    const earlier = document.querySelector("[data-log-earlier]");
    if (earlier) earlier.addEventListener("click", () => showEarlier(earlier, log));
    if (log.dataset.active === "1") follow(log);
  });
})();
