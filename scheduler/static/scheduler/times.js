// Keeps “in 5 minutes”, the time something has been running and how far it has come true, in the language of the page.
"use strict";
(() => {
  const language = document.documentElement.lang || "en";
  const words = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const two = (number) => String(number).padStart(2, "0");

  function relative(seconds) {
    const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) || units[3];
    return words.format(Math.trunc(seconds / size), unit);
  }

  const [day, hour, minute, second] = language.startsWith("zh") ? ["天", "小时", "分", "秒"] : ["d", "h", "m", "s"];

  function elapsed(seconds) {
    const whole = Math.max(Math.floor(seconds), 0);
    if (whole < 60) return `${whole} ${second}`;
    if (whole < 3600) return `${Math.floor(whole / 60)} ${minute} ${two(whole % 60)} ${second}`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} ${hour} ${two(Math.floor(whole % 3600 / 60))} ${minute}`;
    return `${Math.floor(whole / 86400)} ${day} ${two(Math.floor(whole % 86400 / 3600))} ${hour}`;
  }

  function fill() {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[data-relative], time[data-elapsed]")) {
      const seconds = (Date.parse(element.dateTime) - now) / 1000;
      const text = "relative" in element.dataset ? relative(seconds) : elapsed(-seconds);
      if (element.textContent !== text) element.textContent = text;
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
