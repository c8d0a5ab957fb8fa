"""The loss of FCOS in plain loops (Tian et al., ICCV 2019, with GIoU and the sampling of centres of its later version)."""

import math


def fcos_loss(places, boxes, labels, n_classes, side, radius=1.5, alpha=0.25, gamma=2.0):
    """(classification, boxes, centreness) of one photo, each by the number of places in objects.

    Args:
        places: of each (x, y, logits of the classes, distances to left, top, right, bottom in anchors, logit of centreness).
        boxes: (x0, y0, x1, y1) of the objects, in pixels.
        labels: their classes.
        n_classes: K.
        side: of an anchor in pixels.
    """
    classification = regression = centreness = 0.0
    positive = 0
    for x, y, logits, distances, centre in places:
        at = object_at(x, y, boxes, side * radius)
        for k in range(n_classes):
            p, is_class = sigmoid(logits[k]), at is not None and labels[at] == k
            p_t, weight = (p, alpha) if is_class else (1 - p, 1 - alpha)
            classification -= weight * (1 - p_t) ** gamma * math.log(p_t)
        if at is None:
            continue
        positive += 1
        left, top, right, bottom = (max(0.0, d) * side for d in distances)
        regression += 1 - giou((x - left, y - top, x + right, y + bottom), boxes[at])
        x0, y0, x1, y1 = boxes[at]
        target = math.sqrt(share(x - x0, x1 - x) * share(y - y0, y1 - y))
        centreness -= target * math.log(sigmoid(centre)) + (1 - target) * math.log(1 - sigmoid(centre))
    return tuple(value / max(1, positive) for value in (classification, regression, centreness))


def object_at(x, y, boxes, reach):
    """The smallest object that has a place inside and near its middle; None for none."""
    inside = [
        i
        for i, (x0, y0, x1, y1) in enumerate(boxes)
        if x0 < x < x1 and y0 < y < y1 and max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2)) < reach
    ]
    return min(inside, key=lambda i: (boxes[i][2] - boxes[i][0]) * (boxes[i][3] - boxes[i][1])) if inside else None


def giou(a, b):
    """Generalised IoU of two boxes (Rezatofighi et al., CVPR 2019)."""
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - common
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return common / union - (hull - union) / hull


def share(a, b):
    return min(a, b) / max(a, b)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))
