// The two distributions: sizes of the clusters against what was asked for, and how confident the run was.

import { colour, el, hue, number, percent, sized } from "./dom.js";
import { title } from "./store.js";

const HEIGHT = 132,
  FOOT = 18,
  LEFT = 4;

// Bars with a tooltip; bars: [{ value, fill, words, open }]; line: a value for each bar, or null.
function bars(heading, list, { line = null, foot = [], note = "" }) {
  const canvas = el("canvas", { role: "img", "aria-label": `${heading}. ${note}` });
  const tip = el("output", { class: "tip" });
  const box = el(
    "section",
    { class: "plot" },
    el("h3", { text: heading }),
    el("div", { class: "plotbox" }, canvas, tip),
    el("p", { class: "muted", text: note }),
  );
  const most = Math.max(1, ...list.map((b) => b.value), ...(line || []));
  let at = -1;
  const draw = () => {
    const width = canvas.clientWidth || 280,
      wide = (width - LEFT) / Math.max(1, list.length),
      tall = HEIGHT - FOOT - 4;
    const g = sized(canvas, width, HEIGHT),
      y = (value) => 4 + tall * (1 - value / most);
    g.clearRect(0, 0, width, HEIGHT);
    list.forEach((bar, i) => {
      g.fillStyle = bar.fill();
      g.globalAlpha = at < 0 || at === i ? 1 : 0.45;
      g.fillRect(LEFT + i * wide, y(bar.value), Math.max(wide - (wide > 4 ? 2 : 0), 0.7), 4 + tall - y(bar.value));
    });
    g.globalAlpha = 1;
    g.strokeStyle = colour("ink");
    g.lineWidth = 1.5;
    g.setLineDash([4, 3]);
    if (line) {
      g.beginPath();
      line.forEach((value, i) => {
        g.lineTo(LEFT + i * wide, y(value));
        g.lineTo(LEFT + (i + 1) * wide, y(value));
      });
      g.stroke();
    }
    g.setLineDash([]);
    g.fillStyle = colour("muted");
    g.font = "12px system-ui, sans-serif";
    foot.forEach(([share, text]) => {
      g.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
      g.fillText(text, LEFT + share * (width - LEFT), HEIGHT - 4);
    });
  };
  const indexAt = (event) => Math.floor(((event.offsetX - LEFT) / (canvas.clientWidth - LEFT)) * list.length);
  canvas.addEventListener("pointermove", (event) => {
    at = indexAt(event);
    tip.textContent = list[at]?.words || "";
    canvas.style.cursor = list[at]?.open ? "pointer" : "default";
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    at = -1;
    tip.textContent = "";
    draw();
  });
  canvas.addEventListener("click", (event) => list[indexAt(event)]?.open?.());
  new ResizeObserver(draw).observe(canvas);
  return box;
}

export function plots(overview) {
  const bySize = [...overview.clusters].sort((a, b) => b.size - a.size);
  const { title: asked, sizes } = overview.requested;
  const largest = bySize[0],
    smallest = bySize[bySize.length - 1];
  const sizesPlot = bars(
    "Sizes",
    bySize.map((c) => ({
      value: c.size,
      fill: () => hue(c.id),
      words: `${title(c.id)}: ${number(c.size)}`,
      open: () => {
        location.hash = `#/cluster/${c.id}`;
      },
    })),
    {
      line: sizes,
      foot: [
        [0, "largest"],
        [1, "smallest"],
      ],
      note: largest ? `${number(smallest.size)} to ${number(largest.size)} items; dashed: ${asked}` : "",
    },
  );
  const total = overview.confidences.reduce((a, b) => a + b, 0),
    sure = overview.confidences.slice(18).reduce((a, b) => a + b, 0);
  const confidence = bars(
    "Confidence",
    overview.confidences.map((n, i) => ({
      value: n,
      fill: () => colour("accent"),
      words: `${i * 5} to ${i * 5 + 5}%: ${number(n)} items`,
    })),
    {
      foot: [
        [0, "0"],
        [0.5, "50%"],
        [1, "100%"],
      ],
      note: `${percent(total ? sure / total : 0)} of the items are at 90% or above`,
    },
  );
  return [sizesPlot, confidence];
}
