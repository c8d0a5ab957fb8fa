"""Formulas of the pretexts of films, place by place in plain loops."""

import itertools
import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense_nce(predicted, seen):
    """DPC: of each place (film, step, y, x) of predictions (B, P, D, h, w), its own map among those of all places."""
    b, p, _, h, w = predicted.shape
    places = list(itertools.product(range(b), range(p), range(h), range(w)))
    total = 0.0
    for i, k, y, x in places:
        one = predicted[i, k, :, y, x]
        scores = {(j, m, v, u): float(one @ seen[j, m, :, v, u]) for j, m, v, u in places}
        total -= scores[i, k, y, x] - math.log(sum(math.exp(s) for s in scores.values()))
    return total / len(places)


def conv_gru(x, h, update, reset, out):
    """The next state of a GRU at each place of an input and a state (D, h, w). Gates: (weight (D, 2 D), bias (D,))."""
    result = np.zeros_like(h)
    for y, c in itertools.product(range(x.shape[1]), range(x.shape[2])):
        both = np.concatenate([x[:, y, c], h[:, y, c]])
        u, r = (sigmoid(weight @ both + bias) for weight, bias in (update, reset))
        proposed = np.tanh(out[0] @ np.concatenate([x[:, y, c], r * h[:, y, c]]) + out[1])
        result[:, y, c] = (1 - u) * h[:, y, c] + u * proposed
    return result


def mil_nce(films, bags):
    """MIL-NCE of films (B, E) and their bags (B, P, E): the film's own bag is in both sums below the line."""
    n, total = len(films), 0.0
    for i in range(n):
        own = sum(math.exp(films[i] @ t) for t in bags[i])
        row = sum(math.exp(films[i] @ t) for bag in bags for t in bag)
        column = sum(math.exp(film @ t) for film in films for t in bags[i])
        total -= math.log(own / (row + column))
    return total / n
