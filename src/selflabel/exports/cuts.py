"""A piece cut out of its file as a file of its own: PNG of a box, WAV of a span of a sound, MP4 of a span or box of a film.

The last picture and the last sound are kept, so that a file with a hundred pieces, one after the other, is decoded once.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from selflabel.decode.image import open_image
from selflabel.decode.scale import Scale
from selflabel.exports.cut_films import film_clip
from selflabel.exports.cut_pictures import crop
from selflabel.exports.cut_sounds import TrackReader, wav_bytes
from selflabel.items import Blob
from selflabel.runs.missing import Missing


class Cutter:
    """Cuts pieces out.

    Args:
        scale: of the run's pictures of more than 8 bits, which become 8-bit in it; None where there are none.
    """

    def __init__(self, scale: Scale | None = None):
        self.scale = scale
        self.picture: tuple[Blob, Image.Image] | None = None
        self.sound: tuple[Blob, TrackReader | None] | None = None

    def cut(self, modality: str, blob: Blob) -> tuple[str, bytes] | None:
        """The ending and bytes of a blob's piece; None where the whole file is meant.

        Args:
            modality: "image", "video" or "audio".
            blob: with its piece.

        Raises:
            Missing: the file cannot be read, or has nothing there.
        """
        try:
            return self.cut_any(modality, blob)
        except Missing:
            raise
        except Exception as error:  # decoders raise any exception on broken bytes
            raise Missing(f"cannot be cut out ({type(error).__name__}: {error})") from error

    def cut_any(self, modality: str, blob: Blob) -> tuple[str, bytes] | None:
        piece = blob.piece
        if piece is None:
            return None
        if modality == "image" and piece.box is not None:
            return ".png", crop(self.picture_of(blob), piece)
        if modality == "audio" and piece.span_s is not None:
            reader = self.sound_of(blob)
            if reader is None:
                raise Missing("has no sound")
            return ".wav", wav_bytes(reader.samples(piece.span_s), reader.rate)
        if modality == "video":
            return ".mp4", film_clip(blob, piece, self.sound_of(blob))
        return None

    def picture_of(self, blob: Blob) -> Image.Image:
        """The upright picture of 8 bits."""
        whole = replace(blob, piece=None)
        if self.picture is None or self.picture[0] != whole:
            self.picture = None  # two large pictures are never in memory
            self.picture = whole, open_image(whole.read(), scale=self.scale)
        return self.picture[1]

    def sound_of(self, blob: Blob) -> TrackReader | None:
        """The sound of a file; None where it has none."""
        whole = replace(blob, piece=None)
        if self.sound is None or self.sound[0] != whole:
            self.sound = None
            try:
                self.sound = whole, TrackReader(whole)
            except Missing:
                self.sound = whole, None
        return self.sound[1]
