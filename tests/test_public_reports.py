"""What users of other tools reported in public: each report is made anew with real files, and labelled.

docs/safety.md lists the reports with their addresses and what each showed here.
"""

import io
import struct
import wave

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from selflabel.base.settings import make_settings
from selflabel.decode.image import open_image
from selflabel.edits import append, parse
from selflabel.exports import export
from selflabel.jobs.label import label
from selflabel.runs.pictures import encode_thumbnail
from selflabel.runs.run import Run
from tests.films import bars, write_film

pytestmark = pytest.mark.slow


def picture(i, px=32):
    pixels = np.full((px, px, 3), 40, np.uint8)
    pixels[:, : px // 2] = (220, 40, 40) if i % 2 else (40, 200, 60)
    return Image.fromarray(pixels + np.random.default_rng(i).integers(0, 20, pixels.shape).astype(np.uint8))


def photos(folder, n=8):
    folder.mkdir(exist_ok=True)
    for i in range(n):
        picture(i).save(folder / f"{i}.png")
    return folder


def tone(file, i=0, seconds=0.5, rate=8000):
    t = np.arange(int(seconds * rate)) / rate
    samples = (12000 * np.sin(2 * np.pi * (300 if i % 2 else 2500) * t)).astype("<i2")
    with wave.open(str(file), "wb") as f:
        f.setnchannels(1), f.setsampwidth(2), f.setframerate(rate)
        f.writeframes(samples.tobytes())
    return file


def labelled(source, tmp_path, **given):
    """The finished run, the paths that were labelled, and path to reason of those that were skipped."""
    settings = make_settings(**{"source": str(source), "clusters": 2, "method": "kmeans", "device": "cpu", "workers": 1} | given)
    label(settings, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    lines = (run.folder / "skipped.csv").read_text().splitlines()[1:]
    return run, list(run.paths), dict(line.split(",", 1) for line in lines)


# ------------------------------------------------------------------------------------------------------------------ photos


def test_a_photo_that_the_camera_cut_off_is_listed_and_the_others_are_labelled(tmp_path):
    folder = photos(tmp_path / "photos")
    data = io.BytesIO()
    picture(1, 256).save(data, "JPEG")
    (folder / "cut.jpg").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    _, paths, skipped = labelled(folder, tmp_path)
    assert len(paths) == 8 and list(skipped) == ["cut.jpg"]


def test_a_gif_that_is_called_jpg_is_read_by_what_it_is(tmp_path):
    folder = photos(tmp_path / "photos")
    picture(3).save(folder / "cat.gif")
    (folder / "cat.gif").rename(folder / "cat.jpg")
    _, paths, skipped = labelled(folder, tmp_path)
    assert "cat.jpg" in paths and not skipped


def test_names_with_accents_apostrophes_and_emoji_are_labelled_and_exported(tmp_path):
    names = ["32_de_l''església (l''Alguer).png", "❤️ test#3 %20.png", "a&b;c$HOME`x`.png", "Köln \\ (1).png"]
    folder = photos(tmp_path / "photos", 4)
    for name in names:
        picture(1).save(folder / name)
    run, paths, skipped = labelled(folder, tmp_path)
    assert set(names) <= set(paths) and not skipped
    for to in ("folders", "html", "label-studio", "webdataset"):
        assert export(run, to, tmp_path / to).n_left_out == 0


def test_a_png_with_a_long_text_in_it_is_labelled(tmp_path):
    folder = photos(tmp_path / "photos")
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    picture(1).save(folder / "generated.png", pnginfo=text)
    _, paths, skipped = labelled(folder, tmp_path)
    assert "generated.png" in paths and not skipped


def test_a_cmyk_photo_has_its_own_colours():
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (220, 40, 40)).convert("CMYK").save(data, "JPEG")
    assert np.abs(np.asarray(open_image(data.getvalue()), int)[16, 16] - (220, 40, 40)).max() < 12


def test_a_photo_that_was_taken_sideways_is_upright_in_the_small_pictures(tmp_path):
    folder = photos(tmp_path / "photos", 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48] = 255  # the left half, which is up once the photo is turned
    Image.fromarray(pixels).save(folder / "4.jpg", exif=exif, quality=95)
    run, paths, _ = labelled(folder, tmp_path)
    small = np.asarray(Image.open(io.BytesIO(encode_thumbnail(run.source().source, paths.index("4.jpg")))).convert("L"))
    assert small[: len(small) // 3].mean() > 200 > 50 > small[-len(small) // 3 :].mean()


def test_a_broken_picture_in_a_parquet_table_is_listed(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = []
    for i in range(8):
        data = io.BytesIO()
        picture(i).save(data, "PNG")
        cells.append({"bytes": data.getvalue(), "path": f"{i}.png"})
    cells[3]["bytes"] = cells[3]["bytes"][:60]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "birds.parquet")
    _, paths, skipped = labelled(tmp_path / "birds.parquet", tmp_path)
    assert len(paths) == 7 and len(skipped) == 1


# ---------------------------------------------------------------------------------------------------------- films and sounds


def test_a_film_with_brackets_in_its_name_is_labelled(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for i in range(4):
        write_film(folder / f"media-1080_COV_({i}).mp4", bars(12, i % 2, np.random.default_rng(i)))
    _, paths, skipped = labelled(folder, tmp_path)
    assert len(paths) == 4 and not skipped


def test_films_without_an_index_or_without_a_picture_are_listed(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for i in range(4):
        write_film(folder / f"{i}.mp4", bars(12, i % 2, np.random.default_rng(i)))
    whole = (folder / "0.mp4").read_bytes()
    (folder / "no-moov.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    (folder / "text.mp4").write_text("this is no film")
    _, paths, skipped = labelled(folder, tmp_path)
    assert len(paths) == 4 and set(skipped) == {"no-moov.mp4", "text.mp4"}


def test_one_damaged_recording_costs_no_other_one(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for i in range(20):
        tone(folder / f"{i:02d}.wav", i)
    (folder / "05a.wav").write_bytes((folder / "05.wav").read_bytes()[:30])
    (folder / "06a.wav").write_bytes(bytes(5000))  # a card that was full of zeros
    tone(folder / "07a.wav", seconds=0)
    (folder / "08a.wav").write_bytes(b"")
    _, paths, skipped = labelled(folder, tmp_path)
    assert len(paths) == 20 and set(skipped) == {"05a.wav", "06a.wav", "07a.wav", "08a.wav"}


def test_a_recording_in_the_format_of_more_than_four_gigabytes_is_labelled(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for i in range(6):
        tone(folder / f"{i}.wav", i)
    samples = (folder / "0.wav").read_bytes()[44:]
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 72 + len(samples), len(samples), len(samples) // 2, 0)
    head = b"RF64\xff\xff\xff\xffWAVE" + sizes + form + b"data\xff\xff\xff\xff"
    (folder / "long.wav").write_bytes(head + samples)
    _, paths, skipped = labelled(folder, tmp_path)
    assert "long.wav" in paths and not skipped


# ---------------------------------------------------------------------------------------------------------- small and strange


@pytest.mark.parametrize("method", ["umap-kmeans", "umap-hdbscan", "kmeans", "sela-nn"])
@pytest.mark.parametrize("n", [3, 5])
def test_a_table_of_a_few_rows_is_labelled(tmp_path, method, n):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32))
    run, paths, _ = labelled(tmp_path / "few.npy", tmp_path, method=method)
    assert len(paths) == n and sum(run.report["sizes"]) == n


def test_fewer_different_rows_than_clusters_give_fewer_clusters_and_no_warning(tmp_path, recwarn):
    rows = np.array([(1086, 348), (1087, 347), (1190, 244), (26, 111)] * 5, np.float32)
    np.save(tmp_path / "same.npy", rows)
    run, _, _ = labelled(tmp_path / "same.npy", tmp_path, clusters=10)
    labels = run.raw_labels["label"].to_numpy()
    assert all((labels[rows[:, 0] == x] == labels[rows[:, 0] == x][0]).all() for x in np.unique(rows[:, 0]))
    assert not [w for w in recwarn if "distinct clusters" in str(w.message)]


def test_rows_that_are_no_numbers_are_listed(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    rows[3, 2], rows[7, 0] = np.nan, np.inf
    np.save(tmp_path / "x.npy", rows)
    _, paths, skipped = labelled(tmp_path / "x.npy", tmp_path)
    assert len(paths) == 18 and set(skipped) == {"row:000003", "row:000007"}


def test_classes_that_differ_in_case_only_or_bear_the_name_of_a_device_are_folders_everywhere(tmp_path):
    folder = photos(tmp_path / "photos", 12)
    run, _, _ = labelled(folder, tmp_path, clusters=3)
    for cluster, name in enumerate(["Cat", "cat", "CON"]):
        append(run.folder, parse({"do": "name", "cluster": cluster, "name": name}))
    folders = [p.name.lower() for p in export(run, "folders", tmp_path / "out").place.iterdir() if p.is_dir()]
    assert len(set(folders)) == len(folders) == sum(size > 0 for size in run.report["sizes"]) and "con" not in folders
    append(run.folder, parse({"do": "name", "cluster": 0, "name": "a/b: what? *<x>|."}))
    names = {p.name for p in export(run, "folders", tmp_path / "again").place.iterdir() if p.is_dir()}
    assert not any(set(name) & set('/\\:?*<>|"') or name.endswith(".") for name in names)
