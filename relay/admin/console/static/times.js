// <time datetime>: UTC as the server wrote it -> the browser's time and language; the title keeps UTC.

const MINUTE = 60;
const STEPS = [["second", MINUTE], ["minute", 60], ["hour", 24], ["day", Infinity]];

export function times() {
  const spoken = document.documentElement.lang;
  const language = navigator.languages.find((each) => each.startsWith(spoken)) ?? spoken; // en-GB: 16:02, not 4:02 PM
  const moment = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

  const write = (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf())) return;
    if (time.dataset.form === "age") return show(time, age(at, relative));
    const today = at.toDateString() === new Date().toDateString();
    show(time, (today || time.dataset.form === "clock" ? clock : moment).format(at));
  };
  const all = (within) => {
    if (within.matches?.("time[datetime]")) write(within);
    within.querySelectorAll?.("time[datetime]").forEach(write);
  };

  all(document);
  document.querySelectorAll("[data-zone]").forEach(say);
  new MutationObserver((changes) => {
    for (const change of changes) {
      change.addedNodes.forEach(all);
      const time = change.target.parentElement?.closest("time[datetime]") ?? change.target.closest?.("time[datetime]");
      if (time) write(time); // a part of the page was renewed, and the text with it; one that is local already stays
    }
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
  setInterval(() => {
    if (!document.hidden && !("paused" in document.documentElement.dataset)) document.querySelectorAll('time[data-form="age"]').forEach(write);
  }, 15_000);
}

/** The zone of the times that people type: +03:00 Europe/Moscow. */
function say(field) {
  const ahead = -new Date().getTimezoneOffset(); // minutes
  const [hours, minutes] = [Math.floor(Math.abs(ahead) / 60), Math.abs(ahead) % 60].map((each) => String(each).padStart(2, "0"));
  field.value = `${ahead < 0 ? "-" : "+"}${hours}:${minutes} ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
  field.disabled = false;
}

function show(time, text) {
  if (time.textContent !== text) time.textContent = text;
}

function age(at, relative) {
  let left = (at - Date.now()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(left) < size) return relative.format(Math.round(left), unit);
    left /= size;
  }
}
