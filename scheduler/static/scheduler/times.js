// Keeps “in 5 minutes”, the time something has been running and how far it has come true, in the language of the page.
"use strict";
(() => {
  // The templates of the server, so that its texts and these look alike: scheduler/wording/times.py.
  let words = null;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];

  function text(name, values) {
    words = words || JSON.parse(document.getElementById("s-times").dataset.words);
    return words[name].replace(/%\((\w+)\)(0?)(\d?)[ds]/g, (_all, key, zero, width) =>
      String(values[key]).padStart(Number(width), zero || " "));
  }

  function relative(seconds) {
    const length = Math.abs(seconds);
    const [unit, size] = units.find(([, least]) => length >= least) || ["seconds", 1];
    const count = Math.floor(length / size);
    return text(seconds < 0 ? "past" : "future", { time: text(unit, { count, seconds: count }) });
  }

  function elapsed(since) {
    const whole = Math.max(Math.floor(since), 0);
    const [days, hours, minutes] = [86400, 3600, 60].map((size) => Math.floor(whole / size));
    if (days) return text("days", { days, hours: hours % 24 });
    if (hours) return text("hours", { hours, minutes: minutes % 60 });
    return minutes ? text("minutes", { minutes, seconds: whole % 60 }) : text("seconds", { seconds: whole });
  }

  function fill() {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[data-relative], time[data-elapsed]")) {
      const seconds = (Date.parse(element.dateTime) - now) / 1000;
      const shown = "relative" in element.dataset ? relative(seconds) : elapsed(-seconds);
      if (element.textContent !== shown) element.textContent = shown;
    }
    for (const bar of document.querySelectorAll("progress[data-since]")) {
      const seconds = (now - Date.parse(bar.dataset.since)) / 1000;
      bar.value = Math.min(seconds, bar.max);
      bar.classList.toggle("s-over", seconds > bar.max);
    }
  }

  window.setInterval(fill, 1000);
  document.addEventListener("DOMContentLoaded", fill);
  document.addEventListener("htmx:afterSwap", fill);
})();
