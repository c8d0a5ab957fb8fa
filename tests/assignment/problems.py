"""Scores that the tests of this folder solve."""

import torch

from selflabel.assignment import LinearScores, plan


def clustered_scores(n=6_000, k=40, d=16, seed=0, scale=4.0):
    """Features around k centres of uneven popularity, and a head that knows the centres: what a trained network gives."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(k, d, generator=g), dim=1)
    popularity = torch.exp(0.8 * torch.randn(k, generator=g))
    of = torch.multinomial(popularity / popularity.sum(), n, replacement=True, generator=g)
    x = centres[of] + torch.randn(n, d, generator=g) / d**0.5
    return LinearScores(x, scale * centres, 0.5 * torch.randn(k, generator=g))


def random_scores(n, k, seed=0, scale=1.0):
    """An (n, k) matrix of normal numbers."""
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)) * scale


def masses(source, assignment):
    """(K,) the labels' shares of the mass in an assignment."""
    return plan(source, assignment).double().mean(dim=0).numpy()
