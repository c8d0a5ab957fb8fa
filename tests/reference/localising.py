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
    """EZ-VSL, equations 4 and 5: of every picture its sound among all, of every sound its picture among all; the mean of both."""
    n, total = len(places), 0.0
    s = [[best_place(places[i], sounds[j]) / tau for j in range(n)] for i in range(n)]
    for i in range(n):
        total -= 0.5 * (s[i][i] - math.log(sum(math.exp(s[i][j]) for j in range(n)))) / n
        total -= 0.5 * (s[i][i] - math.log(sum(math.exp(s[j][i]) for j in range(n)))) / n
    return total
