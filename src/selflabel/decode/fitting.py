"""The pieces that a table names, held against their files: boxes by the picture's size, spans by the length that a file states.

A file's header is read once, however many pieces it has. What sticks out is cut off and counted; what lies outside is left out
and listed. Boxes and masks of a picture that is stored turned, and whose table states the stored size, are turned with it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.rle import Rle, encode
from selflabel.base.text import printable, shortened
from selflabel.decode.deep import HEIGHT, ORIENTATION, WIDTH, tiff_tags
from selflabel.decode.image import Undecodable, register_heif
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.sound import rate_and_seconds
from selflabel.decode.video import film_stream, measured_seconds, media_input, open_media, size_and_seconds
from selflabel.decode.workers import MEDIA_LIBRARIES, inspect_blobs
from selflabel.items import Blob, Items, Piece, Pieces
from selflabel.items.piece import Box, Span
from selflabel.items.skipped import Skipped
from selflabel.items.unread import one_line, skip_notes

EXIF_ORIENTATION = 0x0112
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CLOSE_S = 0.05  # that a span may end behind the stated length without being counted: lengths are stated to a frame
EVERY = 256  # files between two reports of progress


class PictureSize(NamedTuple):
    """(width, height) in pixels as the file stores it, and the EXIF orientation, 1 to 8, that turns it upright."""

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) of the upright original."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


Progress = Callable[[int, int], None]
Say = Callable[[str], None]


@dataclass
class Files:
    """The files of a table, and what their headers state.

    Args:
        items: the table, of whole files.
        limits: of looking at one film or sound.
        progress: called with (done, total) files; None calls nothing.
        say: called with a sentence where a file takes too long; None calls nothing.

    Attributes:
        sizes: file to the size of its picture, or to why it has none.
        seconds: file to its length, where it is known.
        turned: the files whose boxes were turned.
        n_boxes, n_spans: that stuck out.
    """

    items: Items
    limits: Limits = DEFAULT_LIMITS
    progress: Progress | None = None
    say: Say | None = None
    sizes: dict[Blob, PictureSize | str] = field(default_factory=dict)
    seconds: dict[Blob, float] = field(default_factory=dict)
    turned: set[Blob] = field(default_factory=set)
    n_boxes: int = 0
    n_spans: int = 0

    def picture(self, row: int) -> Blob | None:
        """The file that an item's box is in."""
        return first_blob(self.items, row, ("image", "video"))

    def track(self, row: int) -> Blob | None:
        """The file that an item's span is of."""
        return first_blob(self.items, row, ("video", "audio"))

    def look_at_pictures(self, rows: Sequence[int]) -> None:
        """Find the sizes of the pictures of these items."""
        has_pictures = "image" in self.items.blobs
        files = {file: has_pictures and self.items.blobs["image"][row] is not None for row in rows if (file := self.picture(row))}
        for done, file in enumerate(files):
            if files[file]:
                self.sizes[file] = picture_size(file)
            if self.progress and done % EVERY == 0:
                self.progress(done, len(files))
        films = [file for file, is_picture in files.items() if not is_picture]
        self.sizes |= self.inspected(film_size, films)

    def look_at_lengths(self, rows: Sequence[int], ends_s: Sequence[float]) -> None:
        """Find the lengths of the films and sounds of these items; stated ones are measured where a span ends behind them."""
        last: dict[Blob, float] = {}
        for row, end in zip(rows, ends_s):
            if file := self.track(row):
                last[file] = max(end, last.get(file, 0.0))
        stated = self.inspected(stated_seconds, list(last))
        doubtful = [file for file in last if last[file] > stated.get(file, 0.0) + CLOSE_S]
        known = stated | self.inspected(true_seconds, doubtful)
        self.seconds |= {file: seconds for file, seconds in known.items() if seconds > 0}

    def inspected(self, inspect: Callable[[Blob], Any], files: Sequence[Blob]) -> dict[Blob, Any]:
        """File to what is found by looking at it, in processes that can be killed."""
        return dict(inspect_blobs(inspect, files, self.limits, self.progress, self.say, MEDIA_LIBRARIES)) if files else {}


def first_blob(items: Items, row: int, modalities: Iterable[str]) -> Blob | None:
    """The file of an item in the first of these modalities that it has."""
    return next((blob for m in modalities if m in items.blobs and (blob := items.blobs[m][row]) is not None), None)


def fit_pieces(items: Items, limits: Limits = DEFAULT_LIMITS, progress: Progress | None = None, say: Say | None = None) -> Items:
    """The items whose pieces lie in their files, with what sticks out cut off; notes say what was done.

    Args:
        items: as a table names them; a size of a piece that is not (0, 0) is what the table states of its picture.
        limits, progress, say: see `Files`.

    Raises:
        UserError: no piece lies in its file.
    """
    pieces = items.pieces
    if pieces is None:
        return items
    files = Files(items.whole(), limits, progress, say)
    files.look_at_pictures(np.flatnonzero(~np.isnan(pieces.boxes).any(axis=1)).tolist())
    spanned = np.flatnonzero(~np.isnan(pieces.spans_s).any(axis=1))
    files.look_at_lengths(spanned.tolist(), pieces.spans_s[spanned, 1].tolist())
    fitted: dict[int, Piece | None] = {}
    skipped: list[Skipped] = []
    for row, piece in enumerate(pieces):
        try:
            fitted[row] = None if piece is None else fitted_piece(piece, row, files)
        except OutsideFile as error:
            skipped.append(items.skip(row, str(error)))
    if not fitted:
        first = printable(shortened(f"{skipped[0][0]!r} {skipped[0].text}", 300))
        raise UserError(f"{items.source}: none of its {len(items):,} pieces can be used; the first: {first}.")
    kept = list(fitted)
    scores = None if pieces.scores is None else pieces.scores[kept]
    taken = items.take(kept, list(skipped)).whole().with_pieces(Pieces.of(list(fitted.values()), scores))
    return taken.noting([], one_line([*skip_notes(skipped), *fit_notes(files)]))


class OutsideFile(Exception):
    """A piece lies outside its file, or nothing is known of the file; the text says why."""


def fitted_piece(piece: Piece, row: int, files: Files) -> Piece | None:
    """The part of a piece that lies in its file; None for a box of a file that is not there. Raises OutsideFile."""
    span = None if piece.span_s is None else fitted_span(piece.span_s, files.track(row), files)
    if piece.box is None:
        return replace(piece, span_s=span)
    file = files.picture(row)
    if file is None and files.items.are_features:
        return None if span is None else Piece(span)
    size = "it has no picture" if file is None else files.sizes.get(file, "the size of its picture cannot be read")
    if isinstance(size, str):
        raise OutsideFile(size)
    box, mask = piece.box, piece.mask
    if piece.size not in ((0, 0), size.upright):
        if piece.size != size.stored:
            stated, found = (" x ".join(map(str, sides)) for sides in (piece.size, size.upright))
            raise OutsideFile(f"its picture has {found} pixels, and the table says {stated}")
        box, mask = turned_box(box, size), None if mask is None else turned_mask(mask, size.orientation)
        files.turned |= {file} if file is not None else set()
    return Piece(span, fitted_box(box, size.upright, files), size.upright, mask)


def fitted_span(span: Span, file: Blob | None, files: Files) -> Span:
    """The part of a span that lies in a file. Raises OutsideFile."""
    start, end = span
    if file is None and not files.items.are_features:
        raise OutsideFile("it has a span, and is no sound or film")
    length = files.seconds.get(file, math.inf) if file is not None else math.inf
    if start >= length:
        raise OutsideFile(f"its span begins at {start:g} s, and the file ends at {length:.3f} s")
    if start < 0 or end > length + CLOSE_S:
        files.n_spans += 1
    return max(0.0, start), min(end, length)


def fitted_box(box: Box, size: tuple[int, int], files: Files) -> Box:
    """The part of a box that lies in a picture of this size. Raises OutsideFile."""
    x0, y0, x1, y1 = box
    width, height = size
    cut = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise OutsideFile("its box lies outside the picture")
    files.n_boxes += cut != (x0, y0, x1, y1)
    return cut


def fit_notes(files: Files) -> list[str]:
    """Sentences on what was cut off and turned."""
    notes, source = [], files.items.source
    for n, one, many, where in ((files.n_boxes, "box", "boxes", "picture"), (files.n_spans, "span", "spans", "file")):
        if n:
            notes.append(f"{n:,} {one if n == 1 else many} of {source} stuck out of the {where}: what lies outside was cut off")
    if n := len(files.turned):
        what = "1 picture is" if n == 1 else f"{n:,} pictures are"
        notes.append(f"{what} stored turned, and the sizes in {source} are the stored ones: boxes were turned upright, too")
    return notes


# -------------------------------------------------------------------------------------------------------- turning


def turned_box(box: Box, size: PictureSize) -> Box:
    """A box of the stored picture in the upright one.

    Example:
        >>> turned_box((1, 2, 3, 5), PictureSize((10, 6), 6))  # stored lying, turned by a quarter to the right
        (1, 1, 4, 3)
    """
    (width, height), (x0, y0, x1, y1) = size.stored, box
    if size.orientation >= 5:  # EXIF orientations 5 to 8 first exchange x and y
        x0, y0, x1, y1, width, height = y0, x0, y1, x1, height, width
    if size.orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if size.orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1


def turned_mask(mask: Rle, orientation: int) -> Rle:
    """A mask of the stored picture in the upright one."""
    pixels = mask.decode()
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return encode(pixels)


# ---------------------------------------------------------------------------------------------------- what files state


def stated_seconds(file: Blob) -> tuple[Blob, float]:
    """A film or sound and its length as the file states it, of a film with a sound track that of the longer one; 0 for none."""
    known = [found[1] for found in (rate_and_seconds(file), size_and_seconds(file)) if found]
    return file, max(known, default=0.0)


def true_seconds(file: Blob) -> tuple[Blob, float]:
    """A film or sound and its length by its packets; see `stated_seconds`."""
    data = media_input(file)
    with open_media(data) as container:
        kinds = ["audio"] * bool(container.streams.audio) + ["video"] * has_film(container)
    return file, max((measured_seconds(data, kind) for kind in kinds), default=0.0)


def has_film(container: Any) -> bool:
    """Whether a file has a film, and not a cover picture only."""
    try:
        return bool(film_stream(container))
    except Undecodable:
        return False


def film_size(file: Blob) -> tuple[Blob, PictureSize | str]:
    """A film and the size of its first frame, upright."""
    with open_media(media_input(file)) as container:
        frame = next(container.decode(film_stream(container)))
        is_lying = round(getattr(frame, "rotation", 0) / 90) % 2 == 1
        return file, PictureSize((frame.height, frame.width) if is_lying else (frame.width, frame.height))


def film_sizes(
    films: Sequence[Blob | None], limits: Limits = DEFAULT_LIMITS, progress: Progress | None = None, say: Say | None = None
) -> np.ndarray:
    """(N, 2) int64 width and height of the first frames of films, upright; zeros where that cannot be told."""
    whole = [None if film is None else replace(film, piece=None) for film in films]
    files = list(dict.fromkeys(file for file in whole if file is not None))
    found = dict(inspect_blobs(film_size, files, limits, progress, say, MEDIA_LIBRARIES)) if files else {}
    sizes = [found[file].upright if isinstance(found.get(file), PictureSize) else (0, 0) for file in whole]
    return np.array(sizes, np.int64).reshape(-1, 2)


def picture_size(file: Blob) -> PictureSize | str:
    """The size of a picture by its header, or why it cannot be found."""
    try:
        if file.is_whole_file:
            with open_regular(file.file) as f:
                return header_size(f)
        return header_size(io.BytesIO(file.read()))
    except Exception as error:  # Pillow's readers raise any exception on broken bytes
        what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return f"the size of its picture cannot be read ({what})"


def header_size(file: BinaryIO) -> PictureSize:
    """See `picture_size`; any exception may be raised."""
    head = file.read(12)
    file.seek(0)
    if head[:4] in TIFF_HEADS:  # newer versions of Pillow give a TIFF's upright size
        tags = tiff_tags(file.read())
        return PictureSize((int(tags[WIDTH]), int(tags[HEIGHT])), orientation_of(tags.get(ORIENTATION, 1)))
    if head[4:8] == b"ftyp":
        register_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file) as image:
            return PictureSize(image.size, orientation_of(image.getexif().get(EXIF_ORIENTATION, 1)))


def orientation_of(value: Any) -> int:
    """An EXIF orientation, 1 for what is none."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
