// What the pages do more with JavaScript; without it all of them work, too.
// htmx looks at the page in a task of its own: as modules of one graph its extension is there before, as scripts it may not be.
import "./vendor/htmx-4.0.1.esm.min.js";
import "./vendor/hx-sse-4.0.1.min.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { menu } from "./menu.js";
import { times } from "./times.js";

document.documentElement.classList.add("js");
// What was counted may be done meanwhile: a page that the browser kept is asked for anew.
window.addEventListener("pageshow", (event) => event.persisted && document.querySelector("form[data-once]") && location.reload());
times();
menu();
keys();
live();
