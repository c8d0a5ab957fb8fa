"""Formulas of the papers that localise what sounds, pair by pair in plain loops."""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def avol_map(places, sound, scale, shift):
    """AVOL-Net: the probability at each place (h, w) of places (D, h, w) that it is what a sound (D,) is of."""
    _, h, w = places.shape
    return np.array([[sigmoid(scale * float(places[:, y, x] @ sound) + shift) for x in range(w)] for y in range(h)])


def avol_loss(places, sounds, scale, shift):
    """Binary cross-entropy of the highest place: over right pairs, and over every wrong pair of a batch, half of each."""
    n = len(places)
    highest = [[avol_map(places[i], sounds[j], scale, shift).max() for j in range(n)] for i in range(n)]
    right = [-math.log(highest[i][i]) for i in range(n)]
    wrong = [-math.log(1 - highest[i][j]) for i in range(n) for j in range(n) if i != j]
    return 0.5 * sum(right) / len(right) + 0.5 * sum(wrong) / len(wrong)


def cosine(a, b):
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def best_place(places, sound):
    """EZ-VSL: the cosine of the place (D, h, w) that is most like a sound (D,)."""
    _, h, w = places.shape
    return max(cosine(places[:, y, x], sound) for y in range(h) for x in range(w))


def ezvsl_loss(places, sounds, tau):
    """EZ-VSL: of every picture its sound among all, of every sound its picture among all; the mean of both."""
    n, total = len(places), 0.0
    s = [[best_place(places[i], sounds[j]) / tau for j in range(n)] for i in range(n)]
    for i in range(n):
        total -= 0.5 * (s[i][i] - math.log(sum(math.exp(s[i][j]) for j in range(n)))) / n
        total -= 0.5 * (s[i][i] - math.log(sum(math.exp(s[j][i]) for j in range(n)))) / n
    return total


def softmax(values):
    weights = [math.exp(v - max(values)) for v in values]
    return [w / sum(weights) for w in weights]


def length(x):
    return math.sqrt(float(x @ x))


def dmc_routed(places, projections, rounds):
    """DMC (Keras code): (centres of length 1, shares) of places (M, D), by clusters with a projection (K, D, E) each."""
    places = [x / length(x) * math.tanh(10 * length(x)) for x in places]
    b = [[0.0] * len(projections) for _ in places]
    for _ in range(rounds):
        c = [softmax(row) for row in b]
        centres = []
        for j, w in enumerate(projections):
            o = sum(c[i][j] * (places[i] @ w) for i in range(len(places)))
            centres.append(o / length(o))
        b = [[float(centres[j] @ (x @ w)) for j, w in enumerate(projections)] for x in places]
    return centres, c


def dmc_margin_loss(pictures, sounds):
    """max(0, k + S(negative) - S(positive)) of centres (N, K, E), mean over every picture and every other sound."""
    n, k = len(pictures), len(pictures[0])

    def score(i, m):
        return sum(cosine(pictures[i][j], sounds[m][j]) for j in range(k))

    terms = [max(0.0, k + score(i, m) - score(i, i)) for i in range(n) for m in range(n) if m != i]
    return sum(terms) / len(terms)


def dmc_soft_kmeans(places, starts, rounds, stiffness):
    """Simplified_DMC: (centres, shares) of places (M, D) by Euclidean distance, from the places at `starts`."""
    centres = [places[i] for i in starts]
    for _ in range(rounds):
        shares = [softmax([-stiffness * length(x - o) for o in centres]) for x in places]
        sums = [sum(row[j] for row in shares) for j in range(len(centres))]
        centres = [sum(row[j] * x for row, x in zip(shares, places)) / sums[j] for j in range(len(centres))]
    return centres, shares


def dmc_contrast_loss(pictures, sounds, apart):
    """.5 [y D^2 + (1 - y) max(0, apart - D)^2] of centres; D: of a sound's centre to the nearest of a picture's. Half of each."""
    n = len(pictures)

    def nearest(i, m):
        return [min(length(a - v) for v in pictures[i]) for a in sounds[m]]

    right = [np.mean([d**2 for d in nearest(i, i)]) for i in range(n)]
    wrong = [np.mean([max(0.0, apart - d) ** 2 for d in nearest(i, m)]) for i in range(n) for m in range(n) if m != i]
    return 0.5 * (0.5 * sum(right) / len(right) + 0.5 * sum(wrong) / len(wrong))


def dsol_location_loss(places, sounds, scale, mixed):
    """Binary cross-entropy of the maximum of sigmoid(scale cos): wrong pairs are 0, in mixed scenes in every quarter."""
    n, (h, w) = len(places), places[0].shape[1:]
    right, wrong = [], []
    for i in range(n):
        for m in range(n):
            map_hw = np.array([[sigmoid(scale * cosine(places[i][:, y, x], sounds[m])) for x in range(w)] for y in range(h)])
            if i == m:
                right.append(-math.log(map_hw.max()))
            elif mixed:
                top, left = h // 2 + h % 2, w // 2 + w % 2
                quarters = [map_hw[:top, :left], map_hw[:top, left:], map_hw[top:, :left], map_hw[top:, left:]]
                wrong += [-math.log(1 - (q.max() if q.size else map_hw.max())) for q in quarters]
            else:
                wrong.append(-math.log(1 - map_hw.max()))
    return 0.5 * sum(right) / len(right) + 0.5 * sum(wrong) / len(wrong)


def dsol_object_vector(features, map_hw, least=0.05):
    """The mean over the map of the features (D, h, w) of the places where it, or one of the eight beside it, is above `least`."""
    h, w = map_hw.shape
    total = np.zeros(len(features))
    for y in range(h):
        for x in range(w):
            near = map_hw[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            if near.max() > least:
                total += map_hw[y, x] * features[:, y, x]
    return total / length(total)


def dsol_class_maps(features, places, sound, dictionary, mean, scale, w, b):
    """(K, h, w): (w cos(f(u) - mean, d_k) + b) times the sounding map, f(u) of length 1."""
    _, height, width = features.shape
    maps = np.zeros((len(dictionary), height, width))
    for y in range(height):
        for x in range(width):
            f = features[:, y, x] / max(length(features[:, y, x]), 1e-12) - mean
            heard = sigmoid(scale * cosine(places[:, y, x], sound))
            for k, d in enumerate(dictionary):
                maps[k, y, x] = (w * float(f @ d) / length(f) + b) * heard
    return maps


def dsol_distribution_loss(maps, heard):
    """KL(heard || softmax over classes of the mean of each class's map), mean over pictures."""
    total = 0.0
    for own, target in zip(maps, heard):
        shown = softmax([float(m.mean()) for m in own])
        total += sum(t * math.log(t / s) for t, s in zip(target, shown))
    return total / len(maps)


def avenet_loss(pictures, sounds, slope, offset):
    """AVE-Net: softmax over (apart, together) with the logits (0, offset + slope * distance); right and wrong pairs half each."""
    n = len(pictures)
    unit = [[x / math.sqrt(float(x @ x)) for x in vectors] for vectors in (pictures, sounds)]
    right, wrong = [], []
    for i in range(n):
        for j in range(n):
            together = offset + slope * math.sqrt(sum((a - b) ** 2 for a, b in zip(unit[0][i], unit[1][j])))
            total = math.exp(0) + math.exp(together)
            (right if i == j else wrong).append(-math.log((math.exp(together) if i == j else 1) / total))
    return 0.5 * sum(right) / len(right) + 0.5 * sum(wrong) / len(wrong)


def ndcg_at(ranked_relevance, top):
    """Of one query: relevances in the order of the ranks."""
    gain = sum(r / math.log2(rank + 1) for rank, r in enumerate(ranked_relevance[:top], start=1))
    best = sum(r / math.log2(rank + 1) for rank, r in enumerate(sorted(ranked_relevance, reverse=True)[:top], start=1))
    return gain / best
