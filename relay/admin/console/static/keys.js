// One key, no modifier: / search, j k row, Enter open, o amoCRM, r replay, p pause, g and a letter go, ? the list.
// None works in a field, and <html data-keys="off"> switches all off (WCAG 2.1.4).
// In a layout without Latin letters it is the place of the key that counts: KeyJ is "о" in the Russian one.

const PLACES = { o: "/", d: "/deliveries", t: "/targets", r: "/routes", l: "/live" };
const GO_WITHIN = 1500; // milliseconds between g and its letter

export function keys() {
  let gone = -GO_WITHIN; // when g was pressed
  document.addEventListener("keydown", (event) => {
    const goes = event.timeStamp - gone < GO_WITHIN;
    gone = -GO_WITHIN; // whatever the second key is
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (document.documentElement.dataset.keys === "off" || isField(event.target)) return;
    const key = latin(event);
    if (key === "g" && !goes) gone = event.timeStamp;
    if (goes ? go(key) : act(key)) event.preventDefault();
  });
  window.addEventListener("pageshow", again);
}

/** What the key says in a Latin layout; one that says it itself is taken at its word. */
function latin(event) {
  if (/^[\x21-\x7e]$/.test(event.key) && !(event.code === "Slash" && /[.,]/.test(event.key))) return event.key;
  if (event.code === "Slash") return event.shiftKey ? "?" : "/";
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
  return letter && !event.shiftKey ? letter.toLowerCase() : event.key;
}

function isField(target) {
  return target.isContentEditable || target.closest("input, select, textarea, dialog") !== null;
}

function go(letter) {
  const link = PLACES[letter] && document.querySelector(`header nav a[href="${PLACES[letter]}"]`);
  link?.click();
  return Boolean(link);
}

function act(key) {
  switch (key) {
    case "/": return focus(document.querySelector('header [role="search"] input'));
    case "j": return step(1);
    case "k": return step(-1);
    case "Enter": return document.activeElement === row() && press("a[data-open], a[href]");
    case "o": return press("a[data-amo]");
    case "r": return press("[data-replay]");
    case "p": return click(document.querySelector("[data-pause]"));
    case "?": return list();
    default: return false;
  }
}

// ---- rows: the current one has the focus, so that a screen reader reads it

const rows = () => [...document.querySelectorAll("main tbody tr:not(.below)")].filter((each) => each.checkVisibility());
const row = () => document.querySelector("main tr.at");

function step(by) {
  const all = rows();
  const at = all.indexOf(row());
  const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
  if (!next) return false;
  sessionStorage.setItem(chosen(), told(next));
  return choose(next);
}

function choose(next) {
  row()?.classList.remove("at");
  next.classList.add("at");
  next.tabIndex = -1;
  return focus(next);
}

/** Back in the browser: the row that was chosen is so again, wherever it is by now. A page that is opened begins anew. */
function again() {
  const [navigation] = performance.getEntriesByType("navigation");
  if (navigation?.type !== "back_forward") return sessionStorage.removeItem(chosen());
  const [telling, nth] = JSON.parse(sessionStorage.getItem(chosen()) ?? "[]");
  const alike = rows().filter((each) => links(each) === telling);
  const found = alike[Math.min(nth, alike.length - 1)];
  if (found && document.activeElement === document.body) choose(found);
}

const chosen = () => `row of ${location.pathname}${location.search}`;
const links = (of) => [...of.querySelectorAll("a[href]")].map((each) => each.getAttribute("href")).join(" ");

/** What tells a row from others, on any page with rows: where it leads, and which it is of those that lead there, too. */
function told(of) {
  return JSON.stringify([links(of), rows().filter((each) => links(each) === links(of)).indexOf(of)]);
}

/** Of the current row, or of a page that is about one thing. */
function press(selector) {
  return click((row() ?? document.querySelector("main")).querySelector(selector));
}

function click(element) {
  element?.click();
  return Boolean(element);
}

function focus(element) {
  element?.focus();
  element?.select?.();
  return Boolean(element);
}

function list() {
  const dialog = document.getElementById("keys");
  dialog?.showModal();
  return Boolean(dialog);
}
