// Whether the server answers, and if not, why. Whoever shows it or waits for it listens.

export const CONNECTED = "connected";
export const AWAY = "away"; // it does not answer
export const RESTARTED = "restarted"; // it was started again: this tab's token is no longer its own
export const OTHER_RUN = "other run"; // it was started for another run

export const connection = { state: CONNECTED };
const listeners = new Set();

export const onConnection = (listener) => listeners.add(listener);

export function setConnection(state) {
  if (connection.state === state) return;
  connection.state = state;
  for (const listener of listeners) listener(state);
}
