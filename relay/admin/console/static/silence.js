// A relay that hangs keeps its connections, and no browser says so: it does not even send that it is alive, as a quiet one
// does. Silence is counted in ticks, not by the clock: a page that slept has heard nothing, for it did not listen.

const TICK = 1000; // milliseconds
const ticks = new WeakMap(); // of an element, since something came for it

export function heard(element) {
  ticks.set(element, 0);
}

/** Give `silent` each element that nothing came for in `<p id="connection" data-silence>` ticks; none while `resting`. */
export function listen(elements, resting, silent) {
  setInterval(() => {
    const most = Number(document.getElementById("connection")?.dataset.silence);
    for (const element of elements()) {
      ticks.set(element, resting() ? 0 : (ticks.get(element) ?? 0) + 1);
      if (!(ticks.get(element) >= most)) continue;
      heard(element);
      silent(element);
    }
  }, TICK);
}
