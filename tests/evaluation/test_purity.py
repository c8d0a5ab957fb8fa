import numpy as np
import pytest

from selflabel.evaluation.purity import cluster_purities, plot_purities


def test_purity_and_entropy_of_known_clusters_and_their_picture(tmp_path):
    truth, labels = ["a"] * 4 + ["b"] * 4, [0, 0, 0, 0, 1, 1, 2, 2]
    purity, entropies = cluster_purities(truth, labels)
    assert np.allclose(purity, 1) and np.allclose(entropies, 0)
    purity, entropies = cluster_purities(truth, [0] * 8)
    assert purity[0] == 0.5 and entropies[0] == pytest.approx(np.log(2))
    plot_purities(truth, labels).savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_the_picture_says_the_mean_and_what_one_cluster_would_have():
    figure = plot_purities(["a", "a", "a", "b"], [0, 0, 1, 1])
    texts = [[t.get_text() for t in axis.get_legend().get_texts()] for axis in figure.axes]
    assert texts == [["mean 0.75", "all in one 0.75"], ["mean 0.35", "all in one 0.56"]]
    assert [axis.get_xlabel() for axis in figure.axes] == ["share of the largest class", "entropy, nats"]
    assert figure.axes[0].get_ylabel() == "clusters"
