// Streams: pause stops all of them, hidden tabs have none, and a lost one is said and found again by htmx.

const streams = new Map(); // element -> htmx's connection
const root = document.documentElement;
const paused = () => "paused" in root.dataset;
const resting = () => paused() || document.hidden;
const SAID = 5000; // milliseconds that "connected again" stands

export function live() {
  document.addEventListener("htmx:sse:before:connection", (event) => {
    event.detail.connection.cancelled = resting();
  });
  document.addEventListener("htmx:sse:after:connection", (event) => {
    streams.set(event.target, event.detail.connection);
    found();
  });
  document.addEventListener("htmx:sse:before:message", (event) => {
    atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - NEAR;
    if (!resting()) return;
    event.detail.cancelled = true;
    event.detail.connection.reader?.cancel();
  });
  document.addEventListener("htmx:sse:after:message", (event) => arrived(event.target));
  document.addEventListener("htmx:sse:error", lost);
  document.addEventListener("htmx:sse:close", (event) => {
    streams.delete(event.target);
    if (event.detail.reason === "ended" && !resting()) lost();
  });
  document.addEventListener("visibilitychange", settle);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-pause], [data-clear]");
    if (button?.matches("[data-pause]")) toggle();
    else if (button) document.getElementById(button.dataset.clear)?.replaceChildren();
  });
}

// ---- pause

function toggle() {
  if (paused()) delete root.dataset.paused;
  else root.dataset.paused = "";
  for (const button of document.querySelectorAll("[data-pause]")) button.setAttribute("aria-pressed", paused());
  settle();
}

/** End the streams that rest, begin those that do not. */
function settle() {
  if (resting()) return streams.forEach((connection) => connection.reader?.cancel());
  for (const element of document.querySelectorAll("[data-hx-sse\\:connect]")) {
    if (!streams.has(element) && !element._htmx?.sse) htmx.ajax("GET", element.getAttribute("data-hx-sse:connect"), { source: element });
  }
}

// ---- connection

let forget;

function lost() {
  const said = document.getElementById("connection");
  if (!said || resting()) return;
  clearTimeout(forget);
  if (said.hidden || said.classList.contains("ok")) say(said, said.dataset.lost, false);
}

function found() {
  const said = document.getElementById("connection");
  if (!said || said.hidden || said.classList.contains("ok")) return;
  say(said, said.dataset.back, true);
  forget = setTimeout(() => (said.hidden = true), SAID);
}

function say(element, text, good) {
  element.textContent = text;
  element.classList.toggle("ok", good);
  element.hidden = false;
  announce(text);
}

// ---- what came

const MOST = 500; // rows of a live table
const NEAR = 80; // pixels to the end of the page
let atEnd = false;
let pending = 0;
let telling;

/** Rows come below the others: none moves under a hand. At the end of the page it stays there, and old rows go. */
function arrived(element) {
  const told = element.dataset.tell;
  if (told) tell(element, told);
  if (!element.matches("tbody") || !atEnd) return;
  while (element.rows.length > MOST) element.rows[0].remove();
  window.scrollTo(0, document.body.scrollHeight);
}

/** One sentence in two seconds, with a number, and not each. */
function tell(element, text) {
  pending += 1;
  telling ??= setTimeout(() => {
    announce(text.replace("{n}", pending));
    pending = 0;
    telling = undefined;
  }, 2000);
}

function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}
