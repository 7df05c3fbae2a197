// A browser has six connections for a relay, and a stream keeps one: so many windows follow at a time, others wait.
// Where the browser has no locks (they need https or loopback), each window follows.

const PLACES = 4;
let given; // gives the place back
let waiting; // ends the wait

/** Resolve to true once this window has a place, and say that it `waits` if all are taken; to false if it left. */
export async function atPlace(waits) {
  if (!navigator.locks || given) return true;
  if (waiting) return false; // asked before: that call goes on
  waiting = new AbortController();
  for (let place = 0; place < PLACES; place++) if (await taken(place, { ifAvailable: true })) return arrived();
  waits();
  return (await taken(Math.floor(Math.random() * PLACES), { signal: waiting.signal })) && arrived();
}

function arrived() {
  waiting = undefined;
  return true;
}

export function leave() {
  waiting?.abort();
  waiting = undefined;
  given?.();
  given = undefined;
}

function taken(place, options) {
  return new Promise((know) => {
    const held = navigator.locks.request(`relay-stream-${place}`, options, (lock) => {
      know(lock !== null);
      return lock && new Promise((give) => (given = give));
    });
    held.catch(() => know(false)); // the wait ended
  });
}
