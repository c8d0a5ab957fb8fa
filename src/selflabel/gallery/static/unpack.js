// In a thread of its own: fetches bundles of small pictures and decodes them, so that scrolling never waits for either.

async function unpacked(stamp, rows) {
  const found = await fetch(`/api/thumbs/${stamp}?rows=${rows.join(",")}`);
  if (!found.ok) throw new Error(String(found.status));
  const data = await found.arrayBuffer(),
    lengths = new Uint32Array(data, 0, rows.length);
  let at = 4 * rows.length;
  return Promise.all(
    rows.map((row, i) => {
      const bytes = new Uint8Array(data, at, lengths[i]);
      at += lengths[i];
      return lengths[i] ? createImageBitmap(new Blob([bytes])).catch(() => null) : null;
    }),
  );
}

onmessage = async ({ data: { id, stamp, rows } }) => {
  try {
    const pictures = await unpacked(stamp, rows);
    postMessage({ id, pictures }, pictures.filter(Boolean));
  } catch {
    postMessage({ id, pictures: null });
  }
};
