"""docs/assignment.png: an assignment before and after it is balanced.

Left, the softmax of a network's scores: a few labels take nearly all the items. Right, the transport plan of the same scores:
every label has its share, and the network's order of preference is kept as far as that allows. Rows are items (sorted by label),
columns are labels, and the bars below are their sizes.

    python -m reproduce.assignment_figure
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from bench.assignment import trained
from selflabel.assignment import plan, sinkhorn

OUT = Path(__file__).parents[1] / "docs" / "assignment.png"
N, K, EPSILON = 600, 24, 1 / 4
CELL, HIGH, BARS, GAP, TOP = 16, 420, 110, 60, 34
INK, PAPER, FILL, LINE = (32, 33, 36), (255, 255, 255), (38, 98, 176), (190, 60, 50)


def panel(soft_NK: torch.Tensor, title: str) -> Image.Image:
    """A picture of soft labels, with the sizes of the labels below and the equal share as a line."""
    labels = soft_NK.argmax(dim=1)
    order = (labels.double() - soft_NK.amax(dim=1).double() / 2).argsort()
    shade = (1 - soft_NK[order].sqrt().numpy())[:, :, None] * (np.array(PAPER) - np.array(FILL)) + np.array(FILL)
    width = K * CELL
    out = Image.new("RGB", (width, TOP + HIGH + 12 + BARS), PAPER)
    out.paste(Image.fromarray(shade.astype(np.uint8)).resize((width, HIGH), Image.Resampling.NEAREST), (0, TOP))
    draw = ImageDraw.Draw(out)
    draw.text((0, 8), title, fill=INK, font_size=15)
    draw.rectangle((0, TOP, width - 1, TOP + HIGH), outline=INK)
    sizes = torch.bincount(labels, minlength=K).numpy()
    scale = BARS / 150
    base = TOP + HIGH + 12 + BARS - 1
    for k, size in enumerate(sizes):
        draw.rectangle((k * CELL + 2, base - min(BARS, size * scale), k * CELL + CELL - 3, base), fill=FILL)
    draw.line((0, base - N / K * scale, width, base - N / K * scale), fill=LINE)
    return out


def main() -> None:
    scores = trained(N, K, 3.0, 3, d=16).product() + 2.0 * torch.randn(K, generator=torch.Generator().manual_seed(0))
    before, after = torch.softmax(scores / EPSILON, dim=1), plan(scores, sinkhorn(scores, EPSILON, tol=1e-3))
    left, right = panel(before, "before: softmax of the scores"), panel(after, "after: the balanced plan")
    both = Image.new("RGB", (2 * left.width + GAP + 40, left.height + 40), PAPER)
    both.paste(left, (20, 20))
    both.paste(right, (left.width + GAP + 20, 20))
    both.save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main()
