"""docs/objects.png: what `selflabel find` found in two photos that everybody can have, by EfficientNet-Lite0.

The photos are the two that scikit-learn brings, settings and weights are those of `reproduce.objects`, and every object that was
found is drawn, the surest one thicker.

The photos, CC BY 2.0: "china" by danielbuechele (flickr.com/photos/danielbuechele/6061409035), "flower" by vultilion
(flickr.com/photos/vultilion/6056698931).

    python -m reproduce.objects_figure
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

from reproduce.lite0 import ENCODER, lite0_weights
from reproduce.objects import PX
from selflabel.base.settings import make_settings
from selflabel.items import Piece
from selflabel.jobs.find import find
from selflabel.runs.run import Run

OUT = Path(__file__).parents[1] / "docs" / "objects.png"
PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
NAMES = ("flower.jpg", "china.jpg")
COLOURS = ((255, 214, 10), (80, 190, 255), (255, 120, 190))  # of the first, second and third object
GAP, TINT, PALETTE = 8, 0.3, 192


def found_in(folder: Path) -> Run:
    """The run of `selflabel find` on the two photos."""
    encoder = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "px": PX}
    find(make_settings(source=[str(PHOTOS / name) for name in NAMES], method="cut", device="cpu", **encoder), folder)
    return Run.open(folder)


def drawn(photo: Image.Image, objects: list[tuple[Piece, float]]) -> Image.Image:
    """A photo with its objects, by falling score: masks tinted, boxes with their scores."""
    pixels = np.asarray(photo, np.float32)
    for (piece, _), colour in reversed([*zip(objects, COLOURS)]):
        assert piece.mask is not None
        inside = piece.mask.decode()
        pixels = np.where(inside[:, :, None], (1 - TINT) * pixels + TINT * np.array(colour), pixels)
    picture = Image.fromarray(pixels.astype(np.uint8))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    for place, ((piece, score), colour) in reversed([*enumerate(zip(objects, COLOURS))]):
        assert piece.box is not None
        x0, y0, x1, y1 = piece.box
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=2 if place else 5)
        text = f" {score:.2f} "
        pen.rectangle(pen.textbbox((x0, y0), text, font=font), fill=colour)
        pen.text((x0, y0), text, fill="black", font=font)
    return picture


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        run = found_in(Path(place) / "run")
        assert run.pieces is not None and run.pieces.scores is not None
        rows = [*zip(run.labels["path"].to_pylist(), run.pieces, run.pieces.scores.tolist())]
    pictures = [
        drawn(Image.open(PHOTOS / name).convert("RGB"), [(piece, score) for path, piece, score in rows if path == name])
        for name in NAMES
    ]
    sheet = Image.new("RGB", (sum(p.width for p in pictures) + GAP, pictures[0].height), "white")
    sheet.paste(pictures[0], (0, 0))
    sheet.paste(pictures[1], (pictures[0].width + GAP, 0))
    small = sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4))
    small.quantize(PALETTE, dither=Image.Dither.NONE).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
