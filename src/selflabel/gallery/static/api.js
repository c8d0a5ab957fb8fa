// Requests to the page's server. Every failure is a RequestError whose message is a sentence for the user.

import { AWAY, OTHER_RUN, RESTARTED, setConnection } from "./connection.js";

const POLL_TIMEOUT_MS = 10_000,
  NO_ANSWER = [502, 503, 504]; // from a server that has too much to do, or from what stands before it
const stamp = document.body.dataset.stamp;

// isRefusal: the server has answered, and the same request would be answered the same way.
export class RequestError extends Error {
  constructor(message, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    // A request that the page itself has given up says nothing about the server; one that took too long does.
    if (error.name !== "AbortError") setConnection(AWAY);
    throw new RequestError("The page has lost its server; start it again with `selflabel browse`.");
  }
  if (response.ok) return response;
  const message = errorMessage(response.status, await response.text().catch(() => ""));
  if (NO_ANSWER.includes(response.status)) setConnection(AWAY);
  if (response.status === 403) setConnection(RESTARTED);
  throw new RequestError(message, ![403, ...NO_ANSWER].includes(response.status));
}

// The server's own sentence: in JSON, or as plain text where the request did not get past its access control.
function errorMessage(status, text) {
  try {
    return JSON.parse(text).error || `The server could not answer (${status}).`;
  } catch {
    return text || `The server could not answer (${status}).`;
  }
}

const jsonRequest = (values) => ({
  method: "POST",
  headers: { "content-type": "application/json", "x-selflabel-run": stamp },
  body: JSON.stringify(values),
});
const toRows = async (response) => new Int32Array(await response.arrayBuffer());

export const getJson = async (path) => (await request(path)).json();
export const postJson = async (path, values) => (await request(path, jsonRequest(values))).json();
export const postForRows = async (path, values) => toRows(await request(path, jsonRequest(values)));

// The rows of a list, and where they were asked for each item's label and score, NaN for none: { rows, labels or null, scores or null }.
export async function getRows(path) {
  const response = await request(path),
    data = await response.arrayBuffer();
  const [hasLabels, hasScores] = ["x-selflabel-labels", "x-selflabel-scores"].map((name) => response.headers.has(name));
  const n = data.byteLength / 4 / (1 + hasLabels + hasScores);
  return {
    rows: new Int32Array(data, 0, n),
    labels: hasLabels ? new Int32Array(data, 4 * n, n) : null,
    scores: hasScores ? new Float32Array(data, 4 * n * (1 + hasLabels), n) : null,
  };
}

// The version of the edit log. Fails where the server does not answer soon, or shows another run than this tab.
export async function getVersion() {
  const response = await request("/api/version", { signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
  const run = response.headers.get("x-selflabel-run");
  if (run && run !== stamp) {
    setConnection(OTHER_RUN);
    throw new RequestError("The server now shows another run.");
  }
  return (await response.json()).version;
}

// For what the server may still be computing: { data }, or { pending } until it is there.
export async function getWhenReady(path, signal) {
  const response = await request(path, { signal });
  return response.status === 202 ? { pending: await response.json() } : { data: await response.arrayBuffer() };
}
