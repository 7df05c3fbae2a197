// Streams: this says when one begins, htmx reads it. Pause ends all, hidden tabs have none, and a lost or silent one is said.

import { atPlace, leave } from "./places.js";
import { heard, listen } from "./silence.js";

const root = document.documentElement;
const streams = new Map(); // element -> htmx's connection; null while it is being opened
const AGAIN = 3000; // milliseconds, if not even the first answer came; later ones are htmx's
const SOON = 100; // milliseconds
const LOGGED_OUT = 401;
const SAID = 5000; // milliseconds that "connected again" stands
const paused = () => "paused" in root.dataset;
const resting = () => paused() || document.hidden;

export function live() {
  document.addEventListener("htmx:before:request", (event) => {
    if (event.target.matches?.("[data-hx-sse\\:connect]")) opening(event.target);
  });
  document.addEventListener("htmx:sse:after:connection", (event) => {
    streams.set(event.target, event.detail.connection);
    heard(event.target);
    found();
  });
  document.addEventListener("htmx:sse:before:connection", (event) => {
    event.detail.connection.cancelled = resting();
  });
  document.addEventListener("htmx:sse:before:message", (event) => {
    heard(event.target);
    remember();
    event.detail.cancelled = resting();
  });
  document.addEventListener("htmx:sse:after:message", (event) => {
    if (!event.detail.message.event) arrived(event.target); // else it has a name: that the relay is alive, or the end
  });
  document.addEventListener("htmx:sse:error", (event) => lost(event.detail.status));
  document.addEventListener("htmx:sse:close", (event) => streams.delete(event.target));
  document.addEventListener("htmx:error", failed);
  document.addEventListener("htmx:response:error", failed);
  document.addEventListener("visibilitychange", settle);
  listen(() => streams.keys(), resting, silent);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-pause], [data-clear]");
    if (button?.matches("[data-pause]")) toggle();
    else if (button) document.getElementById(button.dataset.clear)?.replaceChildren();
  });
  if (document.readyState === "complete") settle();
  else window.addEventListener("load", settle);
}

function toggle() {
  if (paused()) delete root.dataset.paused;
  else root.dataset.paused = "";
  for (const button of document.querySelectorAll("[data-pause]")) [button.textContent, button.dataset.again] = [button.dataset.again, button.textContent];
  settle();
}

/** End the streams if they rest; else begin those that are not there, once this window has a place. */
async function settle() {
  const elements = [...document.querySelectorAll("[data-hx-sse\\:connect]")];
  if (resting()) {
    for (const connection of streams.values()) connection?.reader?.cancel();
    return leave();
  }
  if (!elements.length || !(await atPlace(waits)) || resting()) return;
  const missing = elements.filter((each) => !streams.has(each));
  for (const element of missing) htmx.trigger(element, "follow");
  if (missing.length) setTimeout(settle, SOON); // htmx may not have looked at the page yet
}

function opening(element) {
  streams.set(element, null);
  heard(element);
}

/** The connection may be dead and nobody says so: htmx opens another. */
function silent(element) {
  lost();
  streams.get(element)?.reader?.cancel();
}

function failed(event) {
  const element = event.detail.ctx?.sourceElement;
  if (streams.get(element) !== null) return;
  streams.delete(element);
  lost(event.detail.ctx.response?.status);
  setTimeout(settle, AGAIN * (1 + Math.random()));
}

// ---- what is said of the connection

let forget;

function waits() {
  say(banner()?.dataset.waits, false);
}

function lost(status) {
  const there = banner();
  if (!there || resting()) return;
  if (status === LOGGED_OUT) return out(there);
  if (there.hidden || there.classList.contains("ok")) say(there.dataset.lost, false);
}

function out(there) {
  if (there.querySelector("a")) return;
  const link = Object.assign(document.createElement("a"), { href: location.href, textContent: there.dataset.logIn });
  say(there.dataset.out, false);
  there.append(" ", link);
}

function found() {
  const there = banner();
  if (!there || there.hidden || there.classList.contains("ok")) return;
  say(there.dataset.back, true);
  forget = setTimeout(() => (there.hidden = true), SAID);
}

function banner() {
  return document.getElementById("connection");
}

function say(text, good) {
  clearTimeout(forget);
  const there = banner();
  there.textContent = text;
  there.classList.toggle("ok", good);
  there.hidden = false;
  announce(text);
}

// ---- what came

const MOST = 500; // rows of a live table
const NEAR = 80; // pixels to the end of the page
const TELL_EVERY = 2000; // milliseconds
let atEnd = false;
let news = 0;
let telling;

function remember() {
  atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - NEAR;
}

/** Rows come below the others: none moves under a hand. At the end of the page it stays there, and old rows go. */
function arrived(element) {
  if (element.dataset.tell) tell(element.dataset.tell);
  else if (element.matches(".news")) announce(element.textContent.trim());
  if (!element.matches("tbody") || !atEnd) return;
  while (element.rows.length > MOST) element.rows[0].remove();
  window.scrollTo(0, document.body.scrollHeight);
}

/** One sentence with a number, and not each. */
function tell(text) {
  news += 1;
  telling ??= setTimeout(() => {
    announce(text.replace("{n}", news));
    news = 0;
    telling = undefined;
  }, TELL_EVERY);
}

function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}
