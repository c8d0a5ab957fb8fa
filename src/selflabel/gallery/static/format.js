// Numbers as text.

export const formatNumber = (n) => n.toLocaleString("en");
export const percent = (share, digits = 0) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : digits)}%`;
export const plural = (n, noun) => `${formatNumber(n)} ${noun}${n === 1 ? "" : "s"}`;
