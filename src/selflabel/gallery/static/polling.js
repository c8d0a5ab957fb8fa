// Notices within two seconds what another tab or process has edited, and when the server is gone or back.

import { hasUnsent, sendUnsent } from "./actions.js";
import { getVersion } from "./api.js";
import { CONNECTED, connection, setConnection } from "./connection.js";
import { refresh, store } from "./store.js";
import { showToast } from "./toast.js";

const INTERVAL_MS = 2000;
let isPolling = false;

export function startPolling() {
  setInterval(poll, INTERVAL_MS);
  document.addEventListener("visibilitychange", poll);
}

// A tab that nobody looks at asks only while it has something to send.
async function poll() {
  const isNeeded = document.visibilityState === "visible" || hasUnsent();
  if (isPolling || !isNeeded || !store.overview) return;
  isPolling = true;
  try {
    const version = await getVersion();
    if (connection.state !== CONNECTED) await onBack();
    else if (version !== store.overview.version) await refresh();
  } catch {
    // The bar says so.
  }
  isPolling = false;
}

async function onBack() {
  setConnection(CONNECTED);
  showToast("The server is back.");
  await sendUnsent();
  await refresh();
}
