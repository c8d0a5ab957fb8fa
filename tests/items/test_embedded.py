import numpy as np
from sklearn.datasets import load_digits

from selflabel.decode.look import inspect_items
from selflabel.items import open_items


def test_the_embedded_sets_are_there():
    digits, mnist = open_items("digits"), open_items("mnist5k")
    assert digits.array.shape == (1797, 8, 8) and mnist.array.shape == (5000, 28, 28)
    assert len(set(mnist.truth)) == 10
    assert inspect_items(digits).kind == inspect_items(mnist).kind == "glyph"


def test_the_digits_are_those_of_scikit_learn():
    items, data = open_items("digits"), load_digits()
    assert np.array_equal(items.array, np.round(data.images * 255 / 16)) and items.truth == [str(v) for v in data.target]
