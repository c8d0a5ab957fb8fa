"""BASELINES: what a user would otherwise run. Labels come from the features of a fixed backbone, from given features or, without
a pretrained encoder, from first features (`views.first`: patterns or pixels of pictures, outlines and colours of films). Nothing
is trained, unless `pretext` names what an encoder learns first.

    centres.py   k-means, spherical k-means, a mixture of Gaussians
    umap.py      k-means and density clusters of a UMAP embedding
    density.py   density clusters of the features (Campello et al., 2013)
    graph.py     spectral clustering of the neighbour graph
    merging.py   agglomerative clustering, average linkage or Ward's

Unseen items are labelled by the centres, by the mixture or, in the last four files, by a vote of the nearest labelled items.
"""

from selflabel.methods.label.baselines.base import Baseline, Options
from selflabel.methods.label.baselines.centres import GaussianMixture, KMeans, SphericalKMeans
from selflabel.methods.label.baselines.density import Hdbscan, assign_rest
from selflabel.methods.label.baselines.graph import Spectral
from selflabel.methods.label.baselines.merging import Agglomerative
from selflabel.methods.label.baselines.umap import UmapHdbscan, UmapKMeans

__all__ = [
    "Agglomerative",
    "Baseline",
    "GaussianMixture",
    "Hdbscan",
    "KMeans",
    "Options",
    "Spectral",
    "SphericalKMeans",
    "UmapHdbscan",
    "UmapKMeans",
    "assign_rest",
]
