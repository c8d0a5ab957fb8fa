// What the page asks of its server. Errors come back as sentences for people.

export class Refused extends Error {}

async function answer(path, options) {
  let found;
  try {
    found = await fetch(path, options);
  } catch {
    throw new Refused("The page has lost its server; start it again with `selflabel browse`.");
  }
  if (!found.ok) {
    const text = await found.text();
    let said = text;
    try {
      said = JSON.parse(text).error || `The server could not answer (${found.status}).`;
    } catch {
      /* plain text */
    }
    throw new Refused(said);
  }
  return found;
}

export const getJson = async (path) => (await answer(path)).json();
const getBytes = async (path, signal) => (await answer(path, { signal })).arrayBuffer();

// What the server may still be working on: { data } or, meanwhile, { waiting }.
export async function getWhenReady(path, signal) {
  const found = await answer(path, { signal });
  return found.status === 202 ? { waiting: await found.json() } : { data: await found.arrayBuffer() };
}

export const getRows = async (path) => new Int32Array(await getBytes(path));

const posted = (values) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values) });
export const post = async (path, values) => (await answer(path, posted(values))).json();
export const postForRows = async (path, values) => new Int32Array(await (await answer(path, posted(values))).arrayBuffer());
