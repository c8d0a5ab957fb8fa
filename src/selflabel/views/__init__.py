"""HOW AN ITEM IS SHOWN: batched random changes on the device, each drawn from (seed, epoch, item, use)."""

from selflabel.views.clip import show_clip
from selflabel.views.first import first_features, first_reader, sound_features
from selflabel.views.image import PRESETS, Preset, show
from selflabel.views.random import chances, key_of, uniforms
from selflabel.views.sound import show_sound

__all__ = [
    "PRESETS",
    "Preset",
    "chances",
    "first_features",
    "first_reader",
    "key_of",
    "show",
    "show_clip",
    "show_sound",
    "sound_features",
    "uniforms",
]
