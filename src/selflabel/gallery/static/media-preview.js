// An item in full size: its video, its image, its sound; or its small picture where the browser cannot show the file.

import { el, scaledContext } from "./dom.js";
import { cancelRequests, drawTile, requestPictures } from "./thumbs.js";

const SMALL_PX = 248;

// item: as /api/items/ gives it. Returns a list of elements.
export function mediaPreview({ row, media, missing, path }) {
  if (missing) return [el("div", { class: "preview gone" }, el("b", { text: "missing" }), el("span", { text: missing }))];
  const modalities = media.split(" "),
    src = (modality) => `/media/${row}/${modality}`;
  const onerror = (event) =>
    event.target.replaceWith(
      smallPicture(row),
      el("p", { class: "muted", text: "This browser cannot show the whole file; this is its small picture." }),
    );
  if (modalities.includes("video")) return [videoElement(src("video"), path, onerror)];
  const image = ["image", "array"].find((modality) => modalities.includes(modality));
  const elements = image ? [el("img", { onerror, class: "preview", src: src(image), alt: path })] : [];
  if (modalities.includes("audio")) {
    if (!image) elements.push(smallPicture(row)); // the spectrogram
    elements.push(el("audio", { src: src("audio"), controls: true, preload: "none" }));
  }
  return elements;
}

const videoElement = (src, path, onerror) =>
  el("video", {
    onerror,
    class: "preview",
    src,
    controls: true,
    loop: true,
    playsinline: true,
    preload: "metadata",
    "aria-label": path,
  });

function smallPicture(row) {
  const canvas = el("canvas", { class: "preview", role: "img", "aria-label": "Small picture" }),
    owner = {}; // of the request, which ends with the first picture
  const paint = () => drawTile(scaledContext(canvas, SMALL_PX, SMALL_PX), row, 0, 0, SMALL_PX);
  requestPictures(owner, [row], () => {
    paint();
    cancelRequests(owner);
  });
  paint();
  return canvas;
}
