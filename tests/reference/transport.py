"""Sinkhorn-Knopp as SeLa's section 3.1 writes it: alternating scalings of the kernel, in float64, nothing clever."""

import numpy as np


def sinkhorn_knopp(scores, epsilon, mass, turns):
    """(N, K) plan rows summing to 1 after `turns` alternations; kernel exp(scores / epsilon) with the row maximum taken out."""
    scores = np.asarray(scores, np.float64)
    kernel = np.exp((scores - scores.max(axis=1, keepdims=True)) / epsilon)
    n = len(scores)
    alpha = np.ones(kernel.shape[1])
    for _ in range(turns):
        beta = (1 / n) / (kernel @ alpha)
        alpha = mass / (kernel.T @ beta)
    beta = (1 / n) / (kernel @ alpha)
    return n * beta[:, None] * kernel * alpha[None, :]


def relaxed_objective(scores, plan, epsilon, mass, strength):
    """Mean score + epsilon * entropy - strength * KL(label masses || mass), of plan rows."""
    scores = np.asarray(scores, np.float64)
    q = np.clip(plan, 1e-300, None)
    got = plan.mean(axis=0)
    kl = (got * np.log(np.clip(got, 1e-300, None) / mass)).sum()
    return (plan * scores).sum(axis=1).mean() - epsilon * (plan * np.log(q)).sum(axis=1).mean() - strength * kl
