"""Maps of a run: of every item C numbers at h x w places, such as features of patches or heatmaps.

They are far larger than everything else of a run, so they are written a block at a time and read where they lie. `maps/maps.npy`
is uint8 (N, C, h, w), `maps/maps.toml` says what a byte means. The folder `maps` is there whole or not at all. Of a run whose
items are regions, a map is of a whole picture or film, and `maps/rows.npy` says which one is of each region.

Axes: N maps, B maps of a block, R items of the run, C channels, h x w places of a map.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked

from selflabel.base.files import cannot_write, is_full, open_regular, remove_leftovers, reserve, temporary_prefix, write_text
from selflabel.base.settings import as_toml, read_toml
from selflabel.runs.reading import damaged, file_in, read_array, read_bounded
from selflabel.runs.tables import write_array

FOLDER, ARRAY, ABOUT, ROWS = "maps", "maps.npy", "maps.toml", "rows.npy"
HIGHEST = 255  # byte
LARGEST = 1e30  # number that maps.toml can say: float32 holds it

Shape = tuple[int, int, int, int]  # N, C, h, w
Block = tuple[int, np.ndarray]  # the first row, (B, C, h, w) values


@checked(frozen=True, config=ConfigDict(extra="ignore", strict=True))
class MapsInfo:
    """What the bytes of the maps mean.

    Attributes:
        offset, scale: (C,) each; a value is offset + scale * byte, with a scale above 0.
        geometry: what of an item a map shows: "square" for the middle square of the picture, or the square around a piece of it;
            "letterbox" for the whole picture in the top left corner of a square, as large as its longer side; "spectrogram" for
            time along x and high frequencies at the top.
        seconds: of the sound or film that a map shows; 0 of pictures.
        frames: of a film; the maps of its frames stand below one another, so that h is `frames` times the height of one.
        names: (C,) names of the channels, or none.
        clipped: share of the values that lay outside what bytes hold.
    """

    offset: Annotated[tuple[Annotated[float, Field(ge=-LARGEST, le=LARGEST)], ...], Field(min_length=1)]
    scale: tuple[Annotated[float, Field(gt=0, le=LARGEST)], ...]
    geometry: Literal["square", "letterbox", "spectrogram"] = "square"
    seconds: Annotated[float, Field(ge=0, le=LARGEST)] = 0.0
    frames: Annotated[int, Field(ge=1)] = 1
    names: tuple[str, ...] = ()
    clipped: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def check_lengths(self) -> MapsInfo:
        if len(self.scale) != len(self.offset) or len(self.names) not in (0, len(self.offset)):
            raise ValueError("offset, scale and names are not equally many")
        return self

    @classmethod
    def between(cls, low: np.ndarray, high: np.ndarray, **rest: Any) -> MapsInfo:
        """Bytes for values from `low` (C,) to `high` (C,); rest: the other fields.

        Example:
            >>> info = MapsInfo.between(np.array([0.0, 7.0]), np.array([51.0, 7.0]))
            >>> info.scale, to_bytes(np.array([[[[10.0]], [[7.0]]]]), info)[0].ravel().tolist()
            ((0.2, 1.0), [50, 0])
        """
        width = np.asarray(high, np.float64) - low
        scale = np.where(width > 0, width / HIGHEST, 1.0)
        return cls(tuple(np.asarray(low, np.float64).tolist()), tuple(scale.tolist()), **rest)

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """(C, 1, 1) float32 offsets and scales."""
        offset, scale = (np.array(x, np.float32)[:, None, None] for x in (self.offset, self.scale))
        return offset, scale


@dataclass(frozen=True)
class Maps:
    """The maps of a run.

    Attributes:
        bytes: (N, C, h, w) uint8, memory-mapped.
        info: what they mean.
        rows: (R,) int64, of each item of the run the row of its map; None where every item has a map of its own.
    """

    bytes: np.ndarray
    info: MapsInfo
    rows: np.ndarray | None = None

    def rows_of(self, items: np.ndarray) -> np.ndarray:
        """The rows of the maps of some items of the run."""
        return items if self.rows is None else self.rows[items]

    def values(self, rows: slice | np.ndarray) -> np.ndarray:
        """(B, C, h, w) float32 values of some maps; only these are read."""
        offset, scale = self.info.columns()
        return offset + scale * self.bytes[rows]


def to_bytes(values: np.ndarray, info: MapsInfo) -> tuple[np.ndarray, int]:
    """((B, C, h, w) uint8 of values, how many of them lie outside and became the lowest or the highest byte).

    Raises:
        ValueError: a value is not finite.
    """
    offset, scale = info.columns()
    steps = np.subtract(values, offset, order="C")
    steps /= scale
    if not np.isfinite(steps).all():
        raise ValueError("maps with values that are not finite cannot be written")
    np.rint(steps, out=steps)
    clipped = int((steps < 0).sum() + (steps > HIGHEST).sum())
    return np.clip(steps, 0, HIGHEST, out=steps).astype(np.uint8), clipped


# -------------------------------------------------------------------------------------------------------------- writing


def write_maps(folder: Path, shape: Shape, info: MapsInfo, blocks: Iterable[Block]) -> MapsInfo:
    """Write the maps of all items into a run folder, in place of those that are there.

    Args:
        folder: of the run.
        shape: (N, C, h, w).
        info: how values become bytes.
        blocks: (first row, (B, C, h, w) float values) of every row once, in any order.

    Returns:
        What was written to maps.toml: `info` with the share that was clipped.

    Raises:
        CannotWrite: the folder cannot be written, or there is no room on the disk; nothing is changed then.
        ValueError: a block is of another shape or not finite, or the blocks are not all rows.
    """
    place = file_in(folder, FOLDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, FOLDER)
        building = Path(tempfile.mkdtemp(dir=folder, prefix=temporary_prefix(FOLDER)))
    except OSError as error:
        raise cannot_write(place, error) from error
    try:
        clipped = fill_array(building / ARRAY, shape, info, blocks)
        written = replace(info, clipped=clipped / max(1, math.prod(shape)))
        write_text(building / ABOUT, as_toml(asdict(written)))
        building.chmod(0o755)
        move_into_place(building, place)
    except Exception as error:
        if isinstance(error, OSError) or is_full(error):
            raise cannot_write(place, error) from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return written


def write_rows(folder: Path, rows: np.ndarray) -> None:
    """Write which map is of each item of a run whose maps are written. rows: (R,) int64."""
    write_array(folder / FOLDER / ROWS, rows.astype(np.int64)[:, None])


def fill_array(file: Path, shape: Shape, info: MapsInfo, blocks: Iterable[Block]) -> int:
    """Write the .npy file a block at a time. Returns how many values were clipped; raises as `write_maps` does."""
    start = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape).offset
    reserve(file)
    is_written, clipped = np.zeros(shape[0], bool), 0
    with file.open("r+b") as out:  # in a memory map all that was written would count as this process's memory
        for first, values in blocks:
            last = first + len(values)
            if values.shape[1:] != shape[1:] or not 0 <= first <= last <= shape[0] or is_written[first:last].any():
                raise ValueError(f"a block of the shape {values.shape} at row {first} is none of maps of the shape {shape}")
            as_bytes, outside = to_bytes(values, info)
            out.seek(start + first * math.prod(shape[1:]))
            out.write(as_bytes.data)
            clipped += outside
            is_written[first:last] = True
    if not is_written.all():
        raise ValueError(f"row {int(is_written.argmin())} of the maps was not written")
    return clipped


def move_into_place(building: Path, place: Path) -> None:
    """Rename a finished folder; the one that is there goes away."""
    if not place.exists():
        building.rename(place)
        return
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=temporary_prefix(FOLDER)) as old:
        place.rename(Path(old) / FOLDER)
        building.rename(place)


# -------------------------------------------------------------------------------------------------------------- reading


def read_maps(folder: Path, n_items: int) -> Maps | None:
    """The maps of a run folder, which a stranger may have made; None where it has none.

    Args:
        folder: of the run.
        n_items: of the run.

    Raises:
        UserError: they are not as a run writes them.
    """
    if not file_in(folder, FOLDER).exists():
        return None
    file = file_in(folder, f"{FOLDER}/{ARRAY}")
    info = read_info(file_in(folder, f"{FOLDER}/{ABOUT}"))
    try:
        with open_regular(file, follow=False):
            array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the parser of the header raises anything on damaged bytes
        raise damaged(file, f"cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 4 or array.dtype != np.uint8 or 0 in array.shape:
        raise damaged(file, "holds no maps, which are (N, C, h, w) bytes")
    channels, rows = len(info.offset), read_rows(folder, n_items, len(array))
    n_maps = n_items if rows is None else len(array)
    if array.shape[:2] != (n_maps, channels) or array.shape[2] % info.frames:
        expected = f"({n_maps}, {channels}, h, w)" + (f" with h a multiple of {info.frames}" if info.frames > 1 else "")
        raise damaged(file, f"is of the shape {array.shape}, and the run needs {expected}")
    return Maps(array, info, rows)


def read_rows(folder: Path, n_items: int, n_maps: int) -> np.ndarray | None:
    """What `write_rows` wrote; None where every item has a map of its own. Raises UserError."""
    file = file_in(folder, f"{FOLDER}/{ROWS}")
    if not file.exists():
        return None
    rows = read_array(file, n_items)
    if rows.shape[1] != 1 or rows.dtype.kind not in "iu" or (rows.size and not 0 <= rows.min() <= rows.max() < n_maps):
        raise damaged(file, "does not name a map for each item")
    return rows[:, 0]


def read_info(file: Path) -> MapsInfo:
    """maps.toml, checked. Raises UserError."""
    read_bounded(file)
    found: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in read_toml(file).items()}
    try:
        return MapsInfo(**found)
    except ValidationError as error:
        first = error.errors()[0]
        raise damaged(file, f"{'.'.join(map(str, first['loc'])) or 'a key'}: {first['msg']}") from error
