// The items of a map as the server sends them (map_layout.py, encode_window).

const HEADER_BYTES = 12;

// Returns { total, points: { n, x, y, row, label }, density: { cells, light, label } or null }. total: the items in the window, of
// which the n points are a sample if there are too many.
export function decodeWindow(data) {
  const [total, n, cells] = new Uint32Array(data, 0, 3);
  const column = (Type, i) => new Type(data, HEADER_BYTES + 4 * n * i, n);
  const points = {
    n,
    x: column(Float32Array, 0),
    y: column(Float32Array, 1),
    row: column(Int32Array, 2),
    label: column(Int32Array, 3),
  };
  return { total, points, density: cells ? decodeDensity(data, HEADER_BYTES + 16 * n, cells) : null };
}

function decodeDensity(data, offset, cells) {
  const size = cells * cells;
  const light = new Uint8Array(data, offset, size);
  return { cells, light, label: new Int32Array(data.slice(offset + size)) }; // copied, for its offset may not be a multiple of 4
}

// Index of the point nearest to a place, within a distance; -1 for none.
export function nearestPoint({ n, x, y }, [placeX, placeY], maxDistance) {
  let least = maxDistance ** 2,
    nearest = -1;
  for (let i = 0; i < n; i++) {
    const square = (x[i] - placeX) ** 2 + (y[i] - placeY) ** 2;
    if (square < least) [least, nearest] = [square, i];
  }
  return nearest;
}
