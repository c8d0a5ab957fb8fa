// Notices within two seconds what another tab or process has edited, and when the server is gone or back.

import { getJson } from "./api.js";
import { refresh, store } from "./store.js";
import { showToast } from "./toast.js";

const INTERVAL_MS = 2000;
let isLost = false;

export function startPolling() {
  setInterval(poll, INTERVAL_MS);
  document.addEventListener("visibilitychange", poll);
}

async function poll() {
  if (document.visibilityState !== "visible" || !store.overview) return;
  try {
    const { version } = await getJson("/api/version");
    if (isLost) showToast("The server is back.");
    isLost = false;
    if (version !== store.overview.version) await refresh();
  } catch (error) {
    if (!isLost) showToast(error.message, null, true);
    isLost = true;
  }
}
