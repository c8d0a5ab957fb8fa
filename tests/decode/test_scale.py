"""Pictures of any depth: one scale a set, and kinds that k-means on the decoded pixels tells apart."""

import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans

from selflabel.decode.look import inspect_items
from selflabel.decode.scale import Scale, own_range, scale_from_record, scale_of_sample, to_uint8
from selflabel.items import open_items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.model import scale_note
from selflabel.jobs.prepare.choices import storage_format
from selflabel.jobs.prepare.decoding import decode_items
from tests.tiffs import write_tiff

KINDS = np.arange(30) % 3


def three_kinds():
    """(30, 48, 48) uint8: discs, stripes and frames with a little noise."""
    y, x = np.mgrid[:48, :48]
    shapes = [(x - 24) ** 2 + (y - 24) ** 2 < 200, (y // 6) % 2 == 0, (x < 10) | (x > 38) | (y < 10) | (y > 38)]
    rng = np.random.default_rng(0)
    return np.stack([np.clip(40 + 160 * shapes[k] + rng.normal(0, 6, (48, 48)), 0, 255).astype(np.uint8) for k in KINDS])


GREY = three_kinds()
HOT = GREY.astype(np.uint16) * 16
HOT[:, 20, 20] = 65_535
SETS = {
    "8 bits in 16": GREY.astype(np.uint16),
    "10 bits in 16": GREY.astype(np.uint16) * 4,
    "12 bits in 16": GREY.astype(np.uint16) * 16,
    "16 bits": GREY.astype(np.uint16) * 257,
    "12 bits with a hot pixel": HOT,
    "mixed exposure": GREY.astype(np.uint16) * np.where(np.arange(30) % 2, 16, 1)[:, None, None].astype(np.uint16),
    "floats from 0 to 1": (GREY / 255).astype(np.float32),
    "small floats": (GREY * 1e-6).astype(np.float32),
    "negative floats": (GREY / 127.5 - 1.6).astype(np.float32),
    "counts": GREY.astype(np.float32) * 4,
    "int32 far from 0": GREY.astype(np.int32) * 10 - 1_000_000,
}
ARRAYS = {
    "bool": GREY > 128,
    "masks of 0 and 1": (GREY > 128).astype(np.uint8),
    "class numbers": (GREY // 64).astype(np.uint8),
    "int16": GREY.astype(np.int16) * 100 - 10_000,
    "uint32": GREY.astype(np.uint32) * 1_000_000,
    "int64": GREY.astype(np.int64) << 40,
    "float16": (GREY * 20.0).astype(np.float16),
    "float64": GREY * 1e9,
    "NaN": np.where(np.arange(48) < 3, np.nan, GREY * 3.0),
    "infinite": np.where(np.arange(48) < 3, np.inf, GREY * 3.0),
    "colours": np.repeat(GREY[..., None], 3, axis=3).astype(np.uint16) * 16,
}


def files_of(folder, pictures, ending="tif"):
    folder.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:02d}.{ending}")
    return folder


def decoded(source, tmp_path, scale="looked at"):
    """(what was found, (N, D) the decoded pixels from 0 to 1)."""
    items = open_items(source)
    info = inspect_items(items)
    info = info if scale == "looked at" else type(info)(info.kind, info.short_px, info.channels, scale=scale)
    kept, parts = decode_items(items, {"image": storage_format(info, 32)}, str(tmp_path / "cache"), 1, Callbacks())
    return info, np.asarray(parts["image"].tensor).reshape(len(kept), -1) / 255


def same_kinds(labels, kinds):
    return len({*zip(labels, kinds)}) == len({*labels}) == len({*kinds})


@pytest.mark.parametrize("name", [*SETS, *ARRAYS])
def test_the_kinds_of_any_array_are_told_apart(name, tmp_path):
    info, pixels = decoded((SETS | ARRAYS)[name], tmp_path)
    assert same_kinds(KMeans(3, n_init=5, random_state=0).fit_predict(pixels), KINDS)
    assert (
        info.scale is not None
        and info.notes == (info.scale.describe(),)
        and scale_from_record(info.scale.as_record()) == info.scale
    )


@pytest.mark.parametrize("name", SETS)
def test_the_kinds_of_any_files_are_told_apart(name, tmp_path):
    endings = ["tif", "png"] if SETS[name].dtype == np.uint16 else ["tif"]
    for ending in endings:
        info, pixels = decoded(files_of(tmp_path / ending, SETS[name], ending), tmp_path)
        assert same_kinds(KMeans(3, n_init=5, random_state=0).fit_predict(pixels), KINDS)
        assert info.scale is not None


def test_bands_and_masks_in_files_are_told_apart(tmp_path):
    (tmp_path / "bands").mkdir()
    for i, picture in enumerate(GREY):
        write_tiff(
            tmp_path / "bands" / f"{i:02d}.tif", np.repeat(picture[..., None], 5, 2).astype(np.uint16) * 9, compressed=True
        )
    masks = files_of(tmp_path / "masks", (GREY > 128).astype(np.uint8), "png")
    for folder in (tmp_path / "bands", masks):
        info, pixels = decoded(folder, tmp_path)
        assert same_kinds(KMeans(3, n_init=5, random_state=0).fit_predict(pixels), KINDS)
        assert info.scale is not None
    assert info.scale.eight_bit


@pytest.mark.parametrize("name", [*SETS, *ARRAYS])
def test_unseen_pictures_in_the_scale_of_a_run_fall_to_the_kinds_of_the_run(name, tmp_path):
    values = (SETS | ARRAYS)[name]
    info, seen = decoded(values[:15], tmp_path)
    _, unseen = decoded(values[15:], tmp_path, info.scale)
    kmeans = KMeans(3, n_init=5, random_state=0).fit(seen)
    assert same_kinds([*kmeans.labels_, *kmeans.predict(unseen)], KINDS)


def test_ordinary_pictures_have_no_scale_and_keep_every_bit(tmp_path):
    dark = GREY // 12  # up to 17 of 255: dark, but no masks
    for pictures in (GREY, dark):
        info, _ = decoded(files_of(tmp_path / f"{pictures.max()}", pictures, "png"), tmp_path)
        assert info.scale is None and info.notes == () and scale_of_sample(list(pictures)) is None
    assert to_uint8(GREY) is GREY and to_uint8(GREY, Scale(0, 4095)) is GREY
    assert scale_of_sample([np.zeros((4, 4), np.uint8)]) is None and scale_of_sample([]) is None


def test_values_that_fill_a_natural_range_are_scaled_as_ever():
    assert np.array_equal(to_uint8(GREY / 255, scale_of_sample([GREY / 255])), GREY)
    assert np.array_equal(to_uint8(GREY * 1.0, scale_of_sample([GREY * 1.0])), GREY)
    deep = np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)
    assert scale_of_sample([deep]) == Scale(0, 65_535) and np.array_equal(
        to_uint8(deep, Scale(0, 65_535)), (deep / 257 + 0.5).astype(int)
    )


def test_one_bright_picture_does_not_darken_the_others(tmp_path):
    values = GREY.astype(np.uint16) * np.where(np.arange(30) == 4, 60, 4)[:, None, None].astype(np.uint16)
    info, pixels = decoded(values, tmp_path)
    rest = np.arange(30) != 4
    assert not info.scale.per_item and same_kinds(KMeans(3, n_init=5, random_state=0).fit_predict(pixels[rest]), KINDS[rest])


def test_brightness_that_is_the_kind_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    flat = np.stack([rng.normal(100 * 3**k, 10 * 3**k, (48, 48)) for k in KINDS]).clip(0).astype(np.uint16)
    info, pixels = decoded(flat, tmp_path)
    assert not info.scale.per_item and same_kinds(KMeans(3, n_init=5, random_state=0).fit_predict(pixels), KINDS)


def test_eight_bit_pictures_among_deep_ones_stay_as_they_are(tmp_path):
    folder = files_of(tmp_path / "deep", GREY[:20].astype(np.uint16) * 16, "png")
    for i in range(20, 30):
        Image.fromarray(GREY[i]).save(folder / f"{i}.png")
    _, pixels = decoded(folder, tmp_path)
    _, plain = decoded(GREY[20:], tmp_path)
    assert np.abs(pixels[20:] - plain).max() < 0.02  # resized by two libraries


def test_nan_is_black_and_a_picture_of_nan_alone_is_skipped(tmp_path):
    values = GREY.astype(np.float32) * 3
    values[0, :10], values[1] = np.nan, np.nan
    folder = files_of(tmp_path / "nan", values)
    for source in (values, folder):
        items = open_items(source)
        info = inspect_items(items)
        kept, parts = decode_items(items, {"image": storage_format(info, 48)}, str(tmp_path / "cache"), 1, Callbacks())
        assert len(kept) == 29 and [reason for _, reason in kept.skipped] == ["no pixel has a finite value"]
        index = parts["image"].index
        assert not parts["image"].tensor[0 if index is None else index[0], 0, :10].any()


def test_constant_values_are_no_error():
    for value in (0.0, 999.0, -1e300):
        scale = scale_of_sample([np.full((8, 8), value)])
        assert not to_uint8(np.full((8, 8), value), scale).any()
    low, high = own_range(np.full((8, 8), np.nan))
    assert high > low


def test_what_predict_says_of_a_scale():
    run = Scale(0, 4095)
    assert scale_note(run, None) == scale_note(None, None) == scale_note(run, Scale(100, 3000)) == ""
    assert "0 to 1, the run's had 0 to 4095" in scale_note(run, Scale(0, 1))
    assert scale_note(None, run) == run.describe()


def test_one_saturated_frame_does_not_make_the_others_black():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(60, 120, (32, 32)).astype(np.uint16) for _ in range(20)]
    frame = np.full((32, 32), 60_000, np.uint16)
    for white in (frame, frame + rng.integers(0, 30, (32, 32)).astype(np.uint16)):
        scale = scale_of_sample([*pictures, white])
        assert np.ptp(to_uint8(pictures[0], scale)) > 200 and to_uint8(white, scale).min() == 255
