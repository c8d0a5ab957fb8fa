"""The program of each rank under torchrun: its rows of a problem, of one with a dummy, and of one with a NaN on the
last rank.

Its words are where the answers go, and how many rows rank 0 has, of each share.
"""

import sys

import numpy as np
import torch
import torch.distributed as dist

from selflabel.assignment import LinearScores, sinkhorn
from selflabel.assignment.reducer import Reducer
from selflabel.training.distributed import join
from tests.assignment.problems import clustered_scores


def solve_share(whole: LinearScores, first: int, file: str) -> None:
    """Write the answers of this rank. first: rows of rank 0."""
    rank = dist.get_rank()
    own = slice(0, first) if rank == 0 else slice(first, 6000)
    source = LinearScores(whole.features[own], whole.weight, whole.bias)
    a = sinkhorn(source, 1 / 10, tol=1e-3, group=dist.group.WORLD)
    dummy = (whole.features[:, 0] * 2)[own]
    with_dummy = sinkhorn(source, 1 / 10, relax=0.5, tol=1e-3, group=dist.group.WORLD, dummy=dummy, dummy_mass=0.1)
    scores = source.product()
    if len(scores) and rank == int(first < 6000):
        scores[0, 0] = float("nan")
    try:
        sinkhorn(scores, 1 / 10, group=dist.group.WORLD)
        message = ""
    except ValueError as error:
        message = str(error)[:30]
    reducer, numbers = Reducer(dist.group.WORLD), np.array([rank, -rank], np.float64)
    sums, highest = reducer.sum(rank, 1), reducer.max(numbers)
    parts = {"labels": a.labels, "potentials": a.potentials, "error": a.error, "message": message}
    np.savez(file, with_dummy=with_dummy.labels, sums=sums, highest=highest, **parts)
    dist.barrier()


if __name__ == "__main__":
    join(torch.device("cpu"))
    for share in sys.argv[2:]:
        solve_share(clustered_scores(), int(share), f"{sys.argv[1]}/{share}-{dist.get_rank()}.npz")
