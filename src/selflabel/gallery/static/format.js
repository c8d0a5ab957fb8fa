// Numbers as text.

export const formatNumber = (n) => n.toLocaleString("en");
export const percent = (share, digits = 0) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : digits)}%`;
export const plural = (n, noun) => `${formatNumber(n)} ${noun}${n === 1 ? "" : "s"}`;

// Seconds as people write times: "0:12.0", "1:02:03.5".
export function clock(seconds, digits = 1) {
  const rounded = Number(seconds.toFixed(digits)),
    minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

// A time span, fine enough to tell short ones apart: "0:12.0–0:15.0".
export function clockSpan([start, end]) {
  const digits = end - start < 1 ? 2 : 1;
  return `${clock(start, digits)}–${clock(end, digits)}`;
}

const LONGEST = 12; // characters of a time span on a tile

// The same for a tile, where there is little room: "0:12–0:15", "26:30.5–32.0".
export function shortSpan([start, end]) {
  const isWhole = Math.abs(start % 1) < 0.005 && Math.abs(end % 1) < 0.005,
    digits = isWhole ? 0 : end - start < 1 ? 2 : 1,
    [from, to] = [clock(start, digits), clock(end, digits)];
  const shared = from.lastIndexOf(":") + 1,
    isShort = from.length + to.length < LONGEST || from.slice(0, shared) !== to.slice(0, shared);
  return `${from}–${isShort ? to : to.slice(shared)}`;
}
