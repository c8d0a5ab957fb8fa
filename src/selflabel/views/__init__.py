"""HOW AN ITEM IS SHOWN: batched random views on the device, each a function of (seed, epoch, item, use)."""

from selflabel.views.clip import view_clips
from selflabel.views.first import first_features, fit_first_features, sound_features
from selflabel.views.following import boxes_from_view, boxes_in_view, masks_from_view, masks_in_view
from selflabel.views.image import PRESETS, Preset, view_images
from selflabel.views.random import bernoulli, key_of, uniforms
from selflabel.views.sound import view_sounds
from selflabel.views.view import View
from selflabel.views.window import Window, draw_windows

__all__ = [
    "PRESETS",
    "Preset",
    "View",
    "Window",
    "bernoulli",
    "boxes_from_view",
    "boxes_in_view",
    "draw_windows",
    "first_features",
    "fit_first_features",
    "key_of",
    "masks_from_view",
    "masks_in_view",
    "sound_features",
    "uniforms",
    "view_clips",
    "view_images",
    "view_sounds",
]
