// A worker thread that fetches bundles of small pictures and decodes them, so that scrolling waits for neither.

// A bundle holds the length in bytes of each picture (uint32, 0 for a missing one), then the pictures themselves.
async function fetchPictures(stamp, rows) {
  const response = await fetch(`/api/thumbs/${stamp}?rows=${rows.join(",")}`);
  if (!response.ok) throw new Error(String(response.status));
  const data = await response.arrayBuffer(),
    lengths = new Uint32Array(data, 0, rows.length);
  let offset = 4 * rows.length;
  return Promise.all(
    rows.map((_, i) => {
      const bytes = new Uint8Array(data, offset, lengths[i]);
      offset += lengths[i];
      return lengths[i] ? createImageBitmap(new Blob([bytes])).catch(() => null) : null;
    }),
  );
}

onmessage = async ({ data: { id, stamp, rows } }) => {
  try {
    const pictures = await fetchPictures(stamp, rows);
    postMessage({ id, pictures }, pictures.filter(Boolean));
  } catch {
    postMessage({ id, pictures: null });
  }
};
