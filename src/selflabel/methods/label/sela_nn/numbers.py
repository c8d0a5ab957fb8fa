"""How many labels given features have, where K is left out; and whether they clearly have another number than was asked for.

Spectral clusterings of the neighbour graph into each number of labels are judged by neighbours that the graph does not have: of
the nearest ones, every second makes the graph, and the others judge. Otherwise clusters of a dozen items would win wherever
there is noise: they are their own neighbours.

Axes: N items, D features, K labels, k neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from selflabel.assignment.merit import joint_merit, neighbour_joint
from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import cluster_qr, neighbour_graph, spectral_directions
from selflabel.base.sampling import drawn_rows

NEIGHBOURS, FEWEST_NEIGHBOURS = 40, 20  # half of them make the graph, half of them judge
FINEST_GRID, GRID_GROWTH, MOST_CLUSTERS = 14, 1.12, 256  # numbers of labels tried: each one up to 14, then in steps of an eighth
ITEMS_PER_LABEL = 20  # least, on average, of a number of labels that is tried, and items for each neighbour
MOST_ITEMS = 20_000  # that are cut; of more items so many at random
FEW_ITEMS = 3_000  # the same, where K was asked for
FEWEST_PER_LABEL = 8  # items on average, with fewer of which a number that was asked for is not judged
REACH = 3  # times the number asked for, up to which numbers are tried; and again, where the last one is the best
CLEARLY, FAR = 1.3, 1.5  # factors by which the merit of another number must exceed that of the one asked for, and that number it
CLUSTERED = 0.2  # the least merit of features that show any number, as a share of the most that so many labels can have


def rank_numbers_of_clusters(
    x_ND: Tensor, seed: int, numbers: Sequence[int] | None = None, most_items: int = MOST_ITEMS
) -> list[tuple[int, float]]:
    """Numbers of labels with the merit I (I / H)^2 of a spectral clustering into so many, the best first; at least one.

    Args:
        x_ND: (N, D) features of unit length.
        seed: of the subspace iteration.
        numbers: ascending; None for `numbers_to_try`.
        most_items: that are cut.
    """
    x_ND = x_ND[drawn_rows(len(x_ND), most_items)]
    k = min(NEIGHBOURS, max(FEWEST_NEIGHBOURS, len(x_ND) // ITEMS_PER_LABEL))
    rows_Nk, numbers = nearest(x_ND, k).rows, numbers or numbers_to_try(len(x_ND))
    graph, judges_Nk = neighbour_graph(rows_Nk[:, ::2].contiguous()), rows_Nk[:, 1::2]
    directions = spectral_directions(graph, min(numbers[-1], len(x_ND)), seed)
    merits = [joint_merit(neighbour_joint(cluster_qr(directions[:, :K]), judges_Nk, K)) for K in numbers]
    return sorted(zip(numbers, merits), key=lambda pair: -pair[1])


def numbers_to_try(n_items: int) -> list[int]:
    """Numbers of labels, ascending: all up to 14, then each an eighth more than the last, up to 256 or a twentieth of the items.

    Example:
        >>> numbers_to_try(500)
        [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 22, 25]
    """
    most = max(2, min(MOST_CLUSTERS, n_items // ITEMS_PER_LABEL))
    numbers = list(range(2, min(FINEST_GRID, most) + 1))
    while numbers[-1] < most:
        numbers.append(min(most, round(numbers[-1] * GRID_GROWTH)))
    return numbers


def clearly_shown(x_ND: Tensor, K: int, seed: int) -> list[tuple[int, float]]:
    """Numbers of clusters with their merit, best first, where one is clearly better than the K asked for; else empty.

    Numbers are ranked as where K is to be found, but only as far as they are needed, and on a sample of a large set: this takes a
    tenth of a second for ten clusters, a second for a hundred.

    Args:
        x_ND: (N, D) features of unit length.
        K: the number asked for.
        seed: of the subspace iteration.
    """
    x_ND = x_ND[drawn_rows(len(x_ND), FEW_ITEMS)]
    tried = numbers_to_try(len(x_ND))
    if not 2 <= K <= len(x_ND) // FEWEST_PER_LABEL:
        return []
    most = REACH * K
    ranked = rank_numbers_of_clusters(x_ND, seed, sorted({K, *(k for k in tried if k <= most)}))
    while ranked[0][0] * GRID_GROWTH > most and most < tried[-1]:
        most *= REACH
        ranked = rank_numbers_of_clusters(x_ND, seed, sorted({K, *(k for k in tried if k <= most)}))
    (found, merit), merit_of_K = ranked[0], dict(ranked)[K]
    is_far, is_better = max(found / K, K / found) >= FAR, merit >= CLEARLY * merit_of_K
    return ranked if is_far and is_better and merit >= CLUSTERED * math.log(found) else []
