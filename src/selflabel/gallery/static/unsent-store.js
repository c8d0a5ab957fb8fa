// Where a tab keeps the edits that the server has not confirmed, so that they survive a reload, a crash and a closed tab.
// Each tab has its own place, for the run that it shows. A tab that opens takes over what closed ones have left.

const PREFIX = `selflabel/unsent/${document.body.dataset.stamp}/`;
const TAB = "selflabel/tab"; // this tab's id, in the storage that a reload keeps
let place = null; // this tab's key, once it is known

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Resolves to the edits that this tab kept before it was reloaded, and those of closed tabs, in their order.
export async function openStore() {
  let tab = sessionStorage.getItem(TAB) ?? newId();
  // The storage of a tab that was duplicated names the other one.
  if (!(await hold(tab))) await hold((tab = newId()));
  sessionStorage.setItem(TAB, tab);
  place = PREFIX + tab;
  const edits = [...read(place), ...(await takeAbandoned())];
  keep(edits);
  return edits;
}

// Returns whether they are kept: the browser's storage has a limit.
export function keep(edits) {
  if (place === null) return false;
  try {
    if (edits.length) localStorage.setItem(place, JSON.stringify(edits));
    else localStorage.removeItem(place);
    return true;
  } catch {
    return false;
  }
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? [];
  } catch {
    return [];
  }
}

async function takeAbandoned() {
  const edits = [];
  for (const key of Object.keys(localStorage).filter((k) => k.startsWith(PREFIX) && k !== place)) {
    if (!(await hold(key.slice(PREFIX.length)))) continue;
    edits.push(...read(key));
    localStorage.removeItem(key);
  }
  return edits;
}

// Holds a tab's lock for as long as this tab is open; resolves to whether no other tab has it.
const hold = (tab) =>
  new Promise((resolve) => {
    if (!navigator.locks) return resolve(true);
    navigator.locks.request(PREFIX + tab, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    });
  });
