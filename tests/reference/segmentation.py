"""The loss of FCN in plain loops (Long, Shelhamer & Darrell, CVPR 2015)."""

import math


def pixel_loss(logits, classes, unknown=-1):
    """The mean cross-entropy of the pixels whose class is known.

    Args:
        logits: of each class of the map a list of rows, each a list of its places.
        classes: rows of pixels.
        unknown: the class of a pixel that does not count.
    """
    height, width = len(classes), len(classes[0])
    losses = []
    for y in range(height):
        for x in range(width):
            if classes[y][x] != unknown:
                own = [between(map_hw, (x + 0.5) / width, (y + 0.5) / height) for map_hw in logits]
                losses.append(math.log(sum(math.exp(v) for v in own)) - own[classes[y][x]])
    return sum(losses) / max(1, len(losses))


def between(map_hw, x, y):
    """A map's value at a point, x and y from 0 to 1, by linear interpolation between the middles of its places."""
    column, row = (max(0.0, share * n - 0.5) for share, n in ((x, len(map_hw[0])), (y, len(map_hw))))
    i, j = int(row), int(column)
    below, right = min(i + 1, len(map_hw) - 1), min(j + 1, len(map_hw[0]) - 1)
    upper = map_hw[i][j] * (1 - column + j) + map_hw[i][right] * (column - j)
    lower = map_hw[below][j] * (1 - column + j) + map_hw[below][right] * (column - j)
    return upper * (1 - row + i) + lower * (row - i)
