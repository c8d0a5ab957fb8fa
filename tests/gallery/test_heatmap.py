"""Heatmaps as pictures over photos."""

import numpy as np
import pytest

from selflabel.gallery.heatmap import heat_details, heat_picture
from selflabel.items import Piece
from selflabel.runs.maps import Maps, MapsInfo


def maps_of(values, **info):
    """Maps of two frames of 4 x 4, one of every item."""
    values = np.asarray(values, np.float32)
    shared = MapsInfo.between(np.zeros(values.shape[1]), np.ones(values.shape[1]), frames=2, **info)
    return Maps(np.round(values * 255).astype(np.uint8), shared, np.array([1, 0]))


def test_a_map_is_clear_where_it_is_lowest_and_bright_where_it_is_highest_in_the_frame_that_is_asked_for():
    values = np.zeros((2, 1, 8, 4))
    values[1, 0, 5, 2] = 0.4  # of the first item: its map is the second
    maps = maps_of(values)
    picture = np.asarray(heat_picture(maps, 0, 0, 1))
    assert picture.shape == (256, 256, 4)
    assert picture[96, 160].tolist() == pytest.approx([252, 255, 164, 255], abs=8) and picture[200, 20, 3] == 0
    assert np.asarray(heat_picture(maps, 0, 0, 0))[..., 3].max() == 0  # of equal values nothing is shown


def test_the_page_is_given_where_a_map_lies_and_how_high_it_is():
    values = np.full((2, 2, 8, 4), 0.2)
    values[0, 1] = 0.6
    details = heat_details(maps_of(values, names=("dog", "cat")), Piece(box=(0, 0, 9, 9), size=(300, 100)), 1)
    assert details == {"place": [1 / 3, 0, 2 / 3, 1], "channels": ["dog", "cat"], "frames": 2, "highest": [0.2, 0.6]}
    assert heat_details(maps_of(values), Piece(span_s=(0, 1)), 0) is None and heat_details(None, None, 0) is None
