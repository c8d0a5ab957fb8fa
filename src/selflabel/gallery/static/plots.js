// The two distributions of the overview: cluster sizes beside those that were asked for, and confidences.

import { BarChart } from "./bar-chart.js";
import { clusterColour, themeColour } from "./colours.js";
import { formatNumber, percent } from "./format.js";
import { clusterTitle, inUse } from "./store.js";

const CONFIDENT_BIN = 18; // of 20: from 90% on

export const drawPlots = (overview) => [sizesChart(overview).node, confidenceChart(overview).node];

function sizesChart({ requested }) {
  const bySize = inUse().sort((a, b) => b.size - a.size);
  const bars = bySize.map(({ id, size }) => ({
    value: size,
    fill: () => clusterColour(id),
    tooltip: `${clusterTitle(id)}: ${formatNumber(size)}`,
    open: () => {
      location.hash = `#/cluster/${id}`;
    },
  }));
  const [largest, smallest] = [bySize[0], bySize[bySize.length - 1]];
  const range = () => `${formatNumber(smallest.size)} to ${formatNumber(largest.size)} items`;
  const axis = [
    [0, "largest"],
    [1, "smallest"],
  ];
  return new BarChart("Sizes", bars, {
    line: requested.sizes,
    axis,
    note: largest ? `${range()}; dashed: ${requested.title}` : "",
  });
}

function confidenceChart({ confidences }) {
  const sum = (counts) => counts.reduce((a, b) => a + b, 0);
  const total = sum(confidences),
    confident = sum(confidences.slice(CONFIDENT_BIN));
  const bars = confidences.map((n, i) => ({
    value: n,
    fill: () => themeColour("accent"),
    tooltip: `${i * 5} to ${i * 5 + 5}%: ${formatNumber(n)} items`,
  }));
  const axis = [
    [0, "0"],
    [0.5, "50%"],
    [1, "100%"],
  ];
  return new BarChart("Confidence", bars, {
    axis,
    note: `${percent(total ? confident / total : 0)} of the items are at 90% or above`,
  });
}
