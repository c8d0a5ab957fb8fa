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
export function piecePreview(item, parts, onopen) {
  const node = el("div", { class: "piecepreview" }, elementsOf(item, parts, onopen));
  const video = node.querySelector("video");
  // Of a film that the browser cannot play, there are its small picture and its sound.
  const withoutVideo = () => {
    const rest = [...node.querySelectorAll("canvas.preview, canvas.preview + p")];
    const media = item.media.replace("video", "").trim();
    node.replaceChildren(...rest, ...elementsOf({ ...item, media }, parts, onopen));
  };
  video?.addEventListener("error", withoutVideo);
  return node;
}

function elementsOf(item, parts, onopen) {
  const elements = mediaPreview(item);
  if (item.missing) return elements;
  const find = (...tags) => elements.find((node) => tags.includes(node.tagName));
  const picture = item.piece.box && find("VIDEO", "IMG"),
    media = find("VIDEO") ?? find("AUDIO");
  const shown = elements.map((node) => (node === picture ? withBoxes(item, picture, parts, onopen) : node));
  return item.piece.span ? spanElements(item, parts, media, shown, onopen) : shown;
}

// A photo in a format that the browser does not know comes from the server as JPEG. What cannot be shown at all is replaced by its
// small picture, which is the crop: without boxes.
function withBoxes(item, picture, parts, onopen) {
  const photo = new PhotoParts(item, picture, parts, onopen);
  picture.addEventListener("error", () => {
    const small = [...photo.stage.querySelectorAll("canvas.preview, canvas.preview + p")];
    for (const node of small) node.remove();
    const useSmall = () => photo.node.replaceWith(...small);
    if (picture.tagName === "VIDEO") return useSmall();
    photo.stage.prepend(el("img", { src: `/media/${item.row}/upright`, alt: item.path, onerror: useSmall }));
  });
  return photo.node;
}

// media: the element that plays; undefined for none. shown: it, and what else is shown of the item.
function spanElements(item, parts, media, shown, onopen) {
  const { span } = item.piece,
    whole = new Timeline(parts, item.row, [0, endOf(parts, span)], { onopen, isWhole: true });
  if (!media) return [...shown, whole.node];
  Object.assign(media, { loop: false, preload: "metadata" });
  new SpanKeeper(media, span, { isOn: () => !settings.playsOn });
  media.addEventListener("loadedmetadata", () => whole.setEnd(media.duration));
  const hasSound = item.media.split(" ").includes("audio"),
    isSound = media.tagName === "AUDIO";
  const plot = hasSound ? plotAround(item, parts, media, whole, onopen) : [];
  // The plot takes the place of the small spectrogram, and a sound's controls come below it.
  const rest = shown.filter((node) => !(isSound && (node === media || node.tagName === "CANVAS")));
  return [...rest, ...plot, isSound && media, playingNote(media, span), playsOnChoice(media, span), whole.node].filter(Boolean);
}

// The wave and the spectrogram, and below them the items that lie there.
function plotAround({ row, piece }, parts, media, whole, onopen) {
  const plot = new SoundPlot(row, piece.span, media),
    near = el("div", { class: "near-parts" }),
    isSound = media.tagName === "AUDIO";
  plot.load().then((times) => {
    if (!times) return isSound && media.remove();
    const [from, to, length] = times;
    near.replaceChildren(new Timeline(parts, row, [from, to], { onopen }).node);
    whole.setEnd(length);
  });
  return [plot.node, near];
}

// What is said where the file was cut since, or cannot be played at all.
function playingNote(media, [start]) {
  const note = el("p", { class: "bad", hidden: true });
  media.addEventListener("loadedmetadata", () => {
    note.hidden = !(media.duration <= start);
    note.textContent = `The file lasts ${clock(media.duration)} now, so this item lies past its end.`;
  });
  media.addEventListener("error", () => {
    note.hidden = false;
    note.textContent = "It cannot be played.";
  });
  return note;
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
