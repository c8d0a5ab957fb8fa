"""A run's source whose items are shown as they were labelled: pictures in the run's scale, sounds at its rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from selflabel.decode.image import Undecodable, open_image
from selflabel.decode.scale import Scale, scale_from_record, to_uint8
from selflabel.decode.sound import RATE
from selflabel.items import Blob
from selflabel.runs.missing import Missing
from selflabel.runs.sources import Source


class ShownSource:
    """A source with the run's scale and rate.

    Args:
        source: of the run.
        scale: of its pictures; None where they are plain 8-bit.
        rate: of its sounds, in Hz.
    """

    def __init__(self, source: Source, scale: Scale | None = None, rate: int = RATE):
        self.source, self.scale, self.rate = source, scale, rate

    @classmethod
    def of(cls, source: Source, modalities: Mapping[str, Any]) -> ShownSource:
        """The source of a run whose run.toml describes its modalities."""
        image, audio = (modalities.get(m) for m in ("image", "audio"))
        scale = scale_from_record(image) if isinstance(image, dict) else None
        rate = audio.get("rate") if isinstance(audio, dict) else None
        return cls(source, scale, int(rate) if rate else RATE)

    @property
    def changed(self) -> set[str]:
        """Files, of those that were asked for, with another time than when they were labelled; see `RecordedSource`."""
        return getattr(self.source, "changed", set())

    def blobs(self, row: int) -> dict[str, Blob]:
        """See `Source.blobs`."""
        return self.source.blobs(row)

    def values(self, row: int) -> np.ndarray:
        """The item's pixels (H, W[, C]) as uint8, or its features (D,). Raises Missing."""
        values = self.source.values(row)
        return values if values.ndim == 1 else to_uint8(values, self.scale)

    def scaled_picture(self, row: int) -> Image.Image | None:
        """The item's picture in the run's scale; None where the file can be shown as it is. Raises Missing."""
        return None if self.scale is None or "image" not in self.blobs(row) else self.picture(row)

    def picture(self, row: int, draft_px: int | None = None) -> Image.Image:
        """The item's whole picture, upright, in the run's scale. draft_px: see `open_image`. Raises Missing."""
        blob = self.blobs(row).get("image")
        if blob is None:
            raise Missing("it has no image")
        try:
            return open_image(blob.read(), draft_px, self.scale)
        except (Undecodable, OSError) as error:
            raise Missing(str(error)) from error
