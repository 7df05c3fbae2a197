// What the pages do more with JavaScript; without it all of them work, too.
import { keys } from "./keys.js";
import { live } from "./live.js";
import { times } from "./times.js";

document.documentElement.classList.add("js");
times();
keys();
live();
