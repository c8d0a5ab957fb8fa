// An item that is a piece of a file, with the rest of the file around it: box and mask on the photo, or the span of a sound or film.

import { el } from "./dom.js";
import { clock } from "./format.js";
import { mediaPreview } from "./media-preview.js";
import { PhotoParts } from "./photo-parts.js";
import { SoundPlot } from "./sound-plot.js";
import { SpanKeeper } from "./span-keeper.js";
import { Timeline } from "./timeline.js";

const settings = { playsOn: false }; // kept while the page is open

// item: as /api/items/ gives it, with a piece. parts: the items of the same file. onopen(row): another of them is asked for.
// Returns a list of elements.
export function piecePreview(item, parts, onopen) {
  const elements = mediaPreview(item);
  if (item.missing) return elements;
  const { span, box } = item.piece;
  const find = (tag) => elements.find((node) => node.tagName === tag);
  const media = find("VIDEO") ?? find("AUDIO"),
    picture = find("VIDEO") ?? find("IMG");
  const shown = box && picture ? elements.map((node) => (node === picture ? withBoxes(item, picture, parts, onopen) : node)) : elements;
  if (!span || !media) return shown;
  return spanPreview(item, parts, media, shown, onopen);
}

// The photo that the browser cannot show is replaced by its small picture, which is the crop: without boxes.
function withBoxes(item, picture, parts, onopen) {
  const photo = new PhotoParts(item, picture, parts, onopen);
  picture.addEventListener("error", () => photo.node.replaceWith(...photo.stage.querySelectorAll("canvas.preview, p.muted")));
  return photo.node;
}

function spanPreview(item, parts, media, elements, onopen) {
  const { row, piece } = item;
  media.loop = false;
  media.preload = "metadata";
  new SpanKeeper(media, piece.span, { isOn: () => !settings.playsOn });
  const plot = item.media.split(" ").includes("audio") ? new SoundPlot(row, piece.span, media) : null,
    whole = new Timeline(parts, row, [0, endOf(parts, piece.span)], { onopen, isWhole: true }),
    near = el("div", { class: "near-parts" });
  const short = el("p", { class: "bad", hidden: true });
  media.addEventListener("loadedmetadata", () => {
    whole.setEnd(media.duration);
    short.hidden = !(media.duration <= piece.span[0]);
    short.textContent = `The file lasts ${clock(media.duration)} now, so this item lies past its end.`;
  });
  plot?.load().then((times) => {
    if (!times) return;
    const [from, to, length] = times;
    near.replaceChildren(new Timeline(parts, row, [from, to], { onopen }).node);
    whole.setEnd(length);
  });
  // The plot takes the place of the small spectrogram.
  const others = plot ? elements.filter((node) => node.tagName !== "CANVAS" && node !== media) : elements.filter((node) => node !== media);
  const video = media.tagName === "VIDEO" && elements.includes(media) ? [media] : [];
  const audio = media.tagName === "AUDIO" ? [media] : [];
  return [...video, ...others, plot?.node, near, ...audio, short, playsOnChoice(media, piece.span), whole.node].filter(Boolean);
}

// The last moment of any item of the file, until its length is known.
const endOf = ({ spans }, own) => spans.reduce((end, span) => Math.max(end, span?.[1] ?? 0), own[1]);

function playsOnChoice(media, [start]) {
  const checkbox = el("input", {
    type: "checkbox",
    checked: settings.playsOn,
    onchange: () => {
      settings.playsOn = checkbox.checked;
    },
  });
  const play = el("button", {
    type: "button",
    text: "Play the span",
    title: "From its first moment",
    onclick: () => {
      media.currentTime = start;
      media.play().catch(() => {});
    },
  });
  return el("div", { class: "playspan" }, play, el("label", { class: "check" }, checkbox, "and play on"));
}
