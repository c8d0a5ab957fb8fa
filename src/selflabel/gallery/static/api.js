// Requests to the page's server. Every failure is a RequestError whose message is a sentence for the user.

export class RequestError extends Error {}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new RequestError("The page has lost its server; start it again with `selflabel browse`.");
  }
  if (!response.ok) throw new RequestError(errorMessage(response.status, await response.text()));
  return response;
}

// The server's own sentence: in JSON, or as plain text where the request did not get past its access control.
function errorMessage(status, text) {
  try {
    return JSON.parse(text).error || `The server could not answer (${status}).`;
  } catch {
    return text;
  }
}

const jsonRequest = (values) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(values),
});
const toRows = async (response) => new Int32Array(await response.arrayBuffer());

export const getJson = async (path) => (await request(path)).json();
export const getRows = async (path) => toRows(await request(path));
export const postJson = async (path, values) => (await request(path, jsonRequest(values))).json();
export const postForRows = async (path, values) => toRows(await request(path, jsonRequest(values)));

// For what the server may still be computing: { data }, or { pending } until it is there.
export async function getWhenReady(path, signal) {
  const response = await request(path, { signal });
  return response.status === 202 ? { pending: await response.json() } : { data: await response.arrayBuffer() };
}
