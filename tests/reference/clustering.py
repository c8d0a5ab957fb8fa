"""Formulas of the clustering papers, item by item in plain loops."""

import math

import numpy as np


def whiten(x, max_dims):
    """Centred rows on the principal directions, each over its standard deviation, then scaled to unit length."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    _, sizes, directions = np.linalg.svd(x, full_matrices=False)
    y = x @ directions[:max_dims].T / (sizes[:max_dims] / math.sqrt(len(x)))
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def cross_entropy(scores, label):
    """Of one row of scores."""
    return -math.log(math.exp(scores[label]) / sum(math.exp(s) for s in scores))


def mutual_information_loss(p, q, lamb=1.0):
    """IIC's equation 3: minus the information of the symmetrised joint, entry by entry."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    n, K = p.shape
    joint = np.zeros((K, K))
    for i in range(n):
        joint += np.outer(p[i], q[i]) / n
    joint = (joint + joint.T) / 2
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    total = 0.0
    for a in range(K):
        for b in range(K):
            if joint[a, b] > 0:
                total += joint[a, b] * (math.log(joint[a, b]) - lamb * math.log(rows[a]) - lamb * math.log(columns[b]))
    return -total


def scan_loss(p, q, weight):
    """SCAN's equation 2, pair by pair."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    agreement = -sum(math.log(sum(a * b for a, b in zip(x, y))) for x, y in zip(p, q)) / len(p)
    return agreement + weight * sum(m * math.log(m) for m in p.mean(axis=0))


def sure_loss(plain, strong, sure):
    """SCAN's third phase: the mean over labels of the mean cross-entropy of the items that are sure of the label."""
    by_label = {}
    for scores, shown in zip(plain, strong):
        chances = [math.exp(s) / sum(math.exp(t) for t in scores) for s in scores]
        if max(chances) > sure:
            best = int(np.argmax(chances))
            by_label.setdefault(best, []).append(cross_entropy(shown, best))
    return float(np.mean([np.mean(x) for x in by_label.values()])) if by_label else 0.0


def nt_xent(first, second, temperature):
    """SimCLR's equation 1, view by view."""
    views = [np.asarray(v, np.float64) / np.linalg.norm(v) for v in [*first, *second]]
    n, total = len(first), 0.0
    for i, v in enumerate(views):
        partner = (i + n) % (2 * n)
        others = [math.exp(v @ w / temperature) for j, w in enumerate(views) if j != i]
        total -= math.log(math.exp(v @ views[partner] / temperature) / sum(others))
    return total / (2 * n)


def info_nce(queries, keys, queue, temperature):
    """MoCo's equation 1, query by query."""
    total = 0.0
    for q, k in zip(queries, keys):
        scores = [float(q @ k) / temperature] + [float(q @ old) / temperature for old in queue]
        total += cross_entropy(scores, 0)
    return total / len(queries)


def swapped_loss(targets, scores, temperature):
    """SwAV's equation 1 over many crops: every view with targets against every other, item by item."""
    terms = []
    for i, target in enumerate(targets):
        for v, view in enumerate(scores):
            if v != i:
                for q, s in zip(target, view):
                    chances = np.exp(np.asarray(s, np.float64) / temperature)
                    terms.append(-float(np.asarray(q) @ np.log(chances / chances.sum())))
    return float(np.mean(terms))


def temi_loss(student, teacher, shares, beta):
    """TEMI's loss, pair by pair: student and teacher (2, heads, pairs, K) probabilities, shares (heads, K)."""
    _, heads, pairs, K = student.shape
    total = 0.0
    for i in range(pairs):
        weight = np.mean([sum(teacher[0, h, i, c] * teacher[1, h, i, c] for c in range(K)) for h in range(heads)])
        for h in range(heads):
            for side in (0, 1):
                inner = sum((student[side, h, i, c] * teacher[1 - side, h, i, c]) ** beta / shares[h, c] for c in range(K))
                total -= weight * math.log(inner) / 2
    return total / (pairs * heads)


def turtle_loss(scores, probe, gamma):
    """TURTLE's equation 12 of one labelling, item by item."""
    soft = [np.exp(s) / np.exp(s).sum() for s in np.asarray(scores, np.float64)]
    error = np.mean([-(t * np.log(np.exp(p) / np.exp(p).sum())).sum() for t, p in zip(soft, np.asarray(probe, np.float64))])
    mean = np.mean(soft, axis=0)
    return float(error + gamma * (mean * np.log(mean)).sum())
