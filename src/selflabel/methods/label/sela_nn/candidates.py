"""Labellings of given features that compete to be reported, and the judge that chooses among them.

Heads that are trained with balanced labels cut large classes in two where classes are uneven. So families of labellings that do
not assume equal sizes are asked, too: spectral clustering of the neighbour graph, and average and Ward linkage of features that
are smoothed over neighbours. Heads start from them, with their sizes as target masses.

What heads and starts agree on is better than any one of them (ICCE, 2025): `assignment.consensus`. Cuts of the densest items
alone (`dense`) compete with both, but have no voice in the consensus.

The judge is the merit I (I / H)^2 of `assignment.merit` at the ends of short random walks, for all labellings alike.

Axes: N items, D features, H heads, K labels, k neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import scipy.optimize
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment.alignment import contingency, hungarian
from selflabel.assignment.consensus import consensus_directions
from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.merit import joint_merit, mutual_information, neighbour_joint, x_log_x
from selflabel.assignment.neighbours import project, random_walk_ends, smooth_over_neighbours
from selflabel.assignment.spectral import cluster_qr, neighbour_graph, spectral_directions, spectral_labels
from selflabel.base.sampling import drawn_rows

GRAPH_NEIGHBOURS = 10  # of the graph that is cut, of the judge's walks, and whose labels count in the consensus
WIDER_NEIGHBOURS = 20  # of a second graph to start from
JUDGE_STEPS = 5  # of the judge's walks
SMOOTHED, LINKED_DIMS = 2, 64  # times that features are averaged with their neighbours' before linkage, and dimensions kept
MOST_LINKED = 5_000  # items whose distances are all computed; others get the label of the nearest of so many
N_STARTS = 4
CLEARLY = 1.03  # factor by which another labelling's merit must exceed that of the consensus
SEPARATED = 0.6  # share of its entropy that the best labelling keeps over short walks where classes are separated
LONG_STEPS = 40  # of walks that cross cuts of large classes
IN_USE = 0.9  # share of the labels that a labelling of uneven sizes uses at least
UNEVEN, NEARLY = 0.92, 0.9  # entropy share below which sizes are clearly uneven, and factor on the merit that gives way
MOST_SPLIT = 10  # largest clusters that are tried for a label without items
BLOCK_ROWS = 4096
FIT_ITERATIONS, FIT_DECAY = 30, 1e-3  # of L-BFGS, and the squared weights' factor in its loss


# ----------------------------------------------------------------------------------------------------------- the judge


def judge_walks(neighbours_Nk: Tensor) -> Tensor:
    """(N, 10) int64 ends of the random walks by which labellings are judged; the same for the same neighbours."""
    return random_walk_ends(neighbours_Nk[:, :GRAPH_NEIGHBOURS], JUDGE_STEPS, torch.Generator().manual_seed(0))


def labelling_merit(labels_N: Tensor, walks_Nk: Tensor, K: int) -> float:
    """The merit of a labelling into at most K labels, comparable between labellings and between numbers of labels."""
    return joint_merit(neighbour_joint(labels_N.cpu().long(), walks_Nk, K))


def best_labelling(labellings: Sequence[Tensor], consensus: Sequence[Tensor], neighbours_Nk: Tensor, K: int, seed: int) -> Tensor:
    """The labelling to report.

    By short walks it is the best of the consensus, or another one that is clearly better. Short walks like cuts of large classes,
    though. So it gives way to the labelling that is best by long walks where that one has clearly uneven sizes, and is nearly as
    good by short walks; of that one up to a tenth of the labels may be without items. Others get halves of clusters for them.

    Where classes are not separated, merits tell labellings of uneven sizes too little apart, and the consensus is reported.

    Args:
        labellings: (N,) int64 labels, 0 to K - 1, of heads, starts and cuts of dense items.
        consensus: from `consensus_labellings`.
        neighbours_Nk: (N, k) int32 rows, nearest first.
        K: number of labels.
        seed: of `graph_directions`, by which clusters are split.

    Returns:
        (N,) int64 labels.
    """
    walks, directions = judge_walks(neighbours_Nk), cache(lambda: graph_directions(neighbours_Nk, K, seed))
    agreed, others = ([fill_empty_labels(x, walks, K, directions) for x in group] for group in (consensus, labellings))
    merits = [labelling_merit(labels, walks, K) for labels in agreed + others]
    if kept_information((agreed + others)[int(np.argmax(merits))], walks, K) < SEPARATED:
        return agreed[int(np.argmax(merits[: len(agreed)]))]
    best = max(range(len(merits)), key=lambda i: merits[i] * (CLEARLY if i < len(agreed) else 1.0))
    long_walks = random_walk_ends(neighbours_Nk[:, :WIDER_NEIGHBOURS], LONG_STEPS, torch.Generator().manual_seed(0))
    as_found = [*consensus, *labellings]
    nearly_all = [x if len(x.unique()) >= IN_USE * K else filled for x, filled in zip(as_found, agreed + others)]
    joints = [neighbour_joint(labels.cpu().long(), long_walks, K) for labels in nearly_all]
    uneven = max(range(len(joints)), key=lambda i: joint_merit(joints[i], power=1))
    if entropy_share(joints[uneven]) < UNEVEN and labelling_merit(nearly_all[uneven], walks, K) > NEARLY * merits[best]:
        return nearly_all[uneven]
    return (agreed + others)[best]


def kept_information(labels_N: Tensor, walks_Nk: Tensor, K: int) -> float:
    """The share of the labels' entropy that the label at the end of a walk tells, 0 to 1; 1 for one label."""
    joint = neighbour_joint(labels_N.cpu().long(), walks_Nk, K)
    entropy = -float(x_log_x(joint.sum(dim=0)).sum())
    return mutual_information(joint) / entropy if entropy > 0 else 1.0


def entropy_share(joint_KK: Tensor) -> float:
    """The entropy of the labels of a joint distribution, as a share of the most that K labels can have; 1 for one label."""
    K = len(joint_KK)
    return -float(x_log_x(joint_KK.sum(dim=0)).sum()) / math.log(K) if K > 1 else 1.0


def fill_empty_labels(labels_N: Tensor, walks_Nk: Tensor, K: int, directions: Callable[[], np.ndarray]) -> Tensor:
    """Give each label that no item has half of a cluster: of the largest ones, that whose two halves have the highest merit.

    Args:
        labels_N: (N,) int64, 0 to K - 1.
        walks_Nk: from `judge_walks`.
        K: number of labels.
        directions: gives `graph_directions` (N, K); called where a label has no items, which is seldom.
    """
    without_items = (torch.bincount(labels_N, minlength=K) == 0).nonzero()[:, 0].tolist()
    if not without_items:
        return labels_N
    unit = F.normalize(torch.from_numpy(directions()), dim=1)
    for empty in without_items:
        largest = torch.bincount(labels_N, minlength=K).topk(min(K, MOST_SPLIT))
        splits = [split_cluster(labels_N, c, empty, unit) for n, c in zip(*(x.tolist() for x in largest)) if n > 1]
        labels_N = max(splits, key=lambda labels: labelling_merit(labels, walks_Nk, K), default=labels_N)
    return labels_N


def split_cluster(labels_N: Tensor, cluster: int, new: int, x_ND: Tensor) -> Tensor:
    """(N,) labels after one of two parts of a cluster, by k-means of its rows of x_ND, has got a new label."""
    rows = (labels_N == cluster).nonzero()[:, 0]
    part = kmeans(x_ND[rows.cpu()], 2, seed=0)[1].to(labels_N.device) == 1
    return labels_N.index_fill(0, rows[part], new)


# ------------------------------------------------------------------------------------------------------------- starts


def graph_directions(neighbours_Nk: Tensor, count: int, seed: int) -> np.ndarray:
    """(N, count) float32 leading eigenvectors of the graph of nearest neighbours.

    Args:
        neighbours_Nk: (N, k) int32 rows, nearest first.
        count: eigenvectors; fewer where there are fewer items.
        seed: of the subspace iteration.
    """
    graph = neighbour_graph(neighbours_Nk[:, :GRAPH_NEIGHBOURS])
    return spectral_directions(graph, min(count, graph.shape[0]), seed)


def start_labellings(x_ND: Tensor, neighbours_Nk: Tensor, directions_NK: np.ndarray, seed: int) -> list[Tensor]:
    """Labellings for heads to start from, of families that do not assume equal sizes.

    Args:
        x_ND: (N, D) features of unit length.
        neighbours_Nk: (N, k) int32 rows, nearest first.
        directions_NK: (N, K) from `graph_directions`, for K labels.
        seed: of the subspace iteration.

    Returns:
        (N,) int64 labels of each, `N_STARTS` in all.
    """
    K, near = directions_NK.shape[1], neighbours_Nk[:, :GRAPH_NEIGHBOURS].contiguous()
    smooth = project(smooth_over_neighbours(x_ND.float() - x_ND.float().mean(dim=0), near, SMOOTHED), LINKED_DIMS).cpu().numpy()
    return [
        cluster_qr(directions_NK),
        linkage_labels(smooth, K, "average"),
        spectral_labels(neighbour_graph(neighbours_Nk[:, :WIDER_NEIGHBOURS]), K, seed),
        linkage_labels(smooth, K, "ward"),
    ]


def linkage_labels(x_ND: np.ndarray, K: int, linkage: str) -> Tensor:
    """(N,) int64 labels of agglomerative clustering of at most 5,000 items; others get the label of the nearest one.

    Args:
        x_ND: (N, D).
        K: number of labels; fewer where there are fewer items.
        linkage: "average" or "ward".
    """
    from sklearn.cluster import AgglomerativeClustering

    N = len(x_ND)
    sample = drawn_rows(N, MOST_LINKED)
    labels = AgglomerativeClustering(min(K, len(sample)), linkage=linkage).fit_predict(x_ND[sample])
    if len(sample) == N:
        return torch.from_numpy(labels).long()
    base = torch.from_numpy(x_ND[sample])
    offset = base.square().sum(dim=1) / 2
    nearest = [(block @ base.T - offset).argmax(dim=1) for block in torch.from_numpy(x_ND).split(BLOCK_ROWS)]
    return torch.from_numpy(labels).long()[torch.cat(nearest)]


# ---------------------------------------------------------------------------------------------------------- consensus


def consensus_labellings(labellings: Sequence[Tensor], neighbours_Nk: Tensor, K: int) -> list[Tensor]:
    """What labellings agree on, cut in two ways.

    Args:
        labellings: (N,) int64 labels of heads and starts.
        neighbours_Nk: (N, k) int32 rows, nearest first.
        K: number of labels.

    Returns:
        (N,) int64 labels of the same eigenvectors by QR and by Ward linkage.
    """
    directions = consensus_directions(labellings, neighbours_Nk[:, :GRAPH_NEIGHBOURS], K)
    unit = F.normalize(torch.from_numpy(directions), dim=1)
    return [cluster_qr(directions), linkage_labels(unit.numpy(), K, "ward")]


def match_head(labels_N: Tensor, head_labels: Sequence[Tensor], K: int) -> tuple[int, Tensor]:
    """The head that is most similar to a labelling, and the labelling with that head's label numbers.

    Args:
        labels_N: (N,) int64, 0 to K - 1.
        head_labels: (N,) int64 of each head.
        K: number of labels.
    """
    tables = [contingency(labels_N.cpu().numpy(), own.cpu().numpy(), K, K) for own in head_labels]
    matches = [hungarian(table) for table in tables]
    shared = [table[rows, columns].sum() for table, (rows, columns) in zip(tables, matches)]
    head = int(np.argmax(shared))
    number = torch.empty(K, dtype=torch.int64)
    number[torch.from_numpy(matches[head][0])] = torch.from_numpy(matches[head][1])
    return head, number.to(labels_N.device)[labels_N]


def fit_linear_head(weight_KD: Tensor, bias_K: Tensor, x_ND: Tensor, labels_N: Tensor) -> None:
    """Fit a linear head to labels in place, by L-BFGS from where it is: logistic regression with weight decay.

    Args:
        weight_KD, bias_K: parameters, or views of them.
        x_ND: (N, D) features.
        labels_N: (N,) int64.
    """
    K, D = weight_KD.shape
    x_ND, shape = x_ND.detach().float(), (K, D + 1)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.enable_grad():
            both = torch.from_numpy(flat).float().view(shape).to(x_ND.device).requires_grad_()
            value = F.cross_entropy(F.linear(x_ND, both[:, :D], both[:, D]), labels_N) + FIT_DECAY * both[:, :D].square().sum()
            (gradient,) = torch.autograd.grad(value, both)
        return float(value), gradient.double().cpu().numpy().ravel()

    start = torch.cat([weight_KD, bias_K[:, None]], dim=1).detach().double().cpu().numpy().ravel()
    fitted = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": FIT_ITERATIONS}).x
    both = torch.from_numpy(fitted).view(shape).to(weight_KD)
    with torch.no_grad():
        weight_KD.copy_(both[:, :D])
        bias_K.copy_(both[:, D])
