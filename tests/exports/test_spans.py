"""Windows of recordings and films: label tracks read by crowsetta, cut sounds sample by sample, clips frame by frame."""

import csv
import json
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import Name, append
from selflabel.exports import export, fitting_formats
from selflabel.exports.cut_sounds import TrackReader, wav_bytes
from selflabel.exports.timeline import Region, joined
from selflabel.items import Blob, Piece, Pieces
from tests.exports.pieces import SOUNDS, WINDOWS, confidence, film_run, noise, read_wav, windows_run, write_wav
from tests.films import write_film
from tests.run_folders import write_run


@pytest.fixture
def windows(tmp_path):
    return windows_run(tmp_path)


def test_crowsetta_reads_ravens_tables_and_audacitys_tracks_with_neighbouring_windows_joined(windows, tmp_path):
    crowsetta = pytest.importorskip("crowsetta")
    append(windows.folder, Name(cluster=0, name='wren "song"'))
    out = export(windows, "raven", tmp_path / "out").place
    files = {row["path"]: out / row["file"] for row in csv.DictReader((out / "recordings.csv").open(encoding="utf-8"))}
    assert set(files) == set(SOUNDS)
    read = {path: crowsetta.formats.bbox.Raven.from_file(file) for path, file in files.items()}
    found = {path: [(b.onset, b.offset, b.label, b.high_freq) for b in raven.to_bbox()] for path, raven in read.items()}
    assert found["low.wav"] == [
        (0.0, 1.5, "wren 'song'", 4000.0),
        (1.5, 3.0, "cluster-001", 4000.0),
        (3.0, 6.0, "wren 'song'", 4000.0),
        (6.0, 8.0, "cluster-002", 4000.0),
    ]
    assert found["sub/high.wav"] == [(0.25, 1.25, "cluster-001", 22_050.0), (3.0, 3.75, "cluster-001", 22_050.0)]
    assert found["all.wav"] == [(0.0, 1.5, "cluster-002", 4000.0)]
    sure = confidence(windows)
    assert read["low.wav"].df["Score"].tolist()[2] == pytest.approx((sure[0] + sure[4]) / 2, abs=1e-4)
    header = files["low.wav"].read_text().splitlines()[0].split("\t")
    assert header[:3] == ["Selection", "View", "Channel"] and files["low.wav"].name == "low.Table.1.selections.txt"
    out = export(windows, "audacity", tmp_path / "tracks").place
    track = crowsetta.formats.seq.AudSeq.from_file(out / "high.txt")
    assert track.start_times.tolist() == [0.25, 3.0] and track.end_times.tolist() == [1.25, 3.75]
    assert list(track.labels) == ["cluster-001"] * 2


def test_only_windows_of_one_class_that_touch_are_joined():
    def regions(*rows):
        return [Region(start, end, name, 0.5) for start, end, name in rows]

    apart = regions((0, 1, "a"), (1.1, 2, "a"), (2, 3, "b"))
    assert joined(apart) == apart
    assert joined(regions((0, 3, "a"), (1, 4, "b"), (2, 5, "a"), (3, 4, "a"))) == regions((0, 5, "a"), (1, 4, "b"))
    chain = regions(*((0.1 * i, 0.1 * i + 0.1, "a") for i in range(50)))
    assert joined(chain)[0].end_s == pytest.approx(5) and len(joined(chain[::-1])) == 1


def test_a_run_of_whole_sounds_has_a_region_for_each(tmp_path):
    write_wav(tmp_path / "s" / "a.wav", noise(2.5, 8000, 1), 8000)
    (tmp_path / "s" / "b.wav").write_bytes(b"no sound")
    run = write_run(tmp_path / "run", tmp_path / "s", ["a.wav", "b.wav"], [0, 0], {"audio": "sound"})
    done = export(run, "audacity", tmp_path / "out")
    assert (done.place / "a.txt").read_text() == "0.000000\t2.500000\tcluster-000\n" and done.n_left_out == 1
    with pytest.raises(UserError, match="holds sounds, and this run's items are images"):
        (tmp_path / "a.png").touch()
        export(write_run(tmp_path / "run2", tmp_path, ["a.png"], [0]), "raven", tmp_path / "out2")


def samples_of(row):
    """(samples, channels) of an item, and its rate."""
    path, span, _ = WINDOWS[row]
    seconds, rate, channels = SOUNDS[path]
    start, end = span or (0, seconds)
    return noise(seconds, rate, channels)[round(start * rate) : round(end * rate)], rate


@pytest.mark.parametrize("name", ["folders", "imagefolder"])
def test_cut_sounds_have_the_samples_rate_and_channels_of_the_recording(name, windows, tmp_path):
    done = export(windows, name, tmp_path / "out")
    files = list(done.place.rglob("*.wav"))
    assert len(files) == len(WINDOWS) == done.n_items
    assert {"low_00003.0-00004.5s.wav", "high_00000.250-00001.000s.wav", "all.wav"} <= {file.name for file in files}
    read = [read_wav(file) for file in files]
    for row in range(len(WINDOWS)):
        wanted, rate = samples_of(row)
        assert any(r == rate and np.array_equal(samples, wanted) for samples, r in read)


def test_webdatasets_sounds_are_cut_and_say_when(windows, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    out = export(windows, "webdataset", tmp_path / "out").place
    (tmp_path / "x.wav").touch()
    for sample in webdataset.WebDataset(str(out / "shard-000000.tar"), shardshuffle=False):
        row = int(sample["__key__"])
        (tmp_path / "x.wav").write_bytes(sample["wav"])
        assert np.array_equal(read_wav(tmp_path / "x.wav")[0], samples_of(row)[0])
        facts = json.loads(sample["json"])
        assert (facts["start_s"], facts["end_s"]) == (WINDOWS[row][1] or (None, None))


@pytest.mark.parametrize("codec, ending", [("pcm_s16le", "wav"), ("flac", "flac"), ("pcm_f32le", "wav"), ("libmp3lame", "mp3")])
def test_spans_are_exact_in_any_order_also_after_a_jump(codec, ending, tmp_path):
    """Losslessly every sample is in its place; what follows a jump in an MP3 is the same sound."""
    rate = 8000
    t = np.arange(60 * rate) / rate
    wave = (9000 * np.sin(2 * np.pi * (200 + 8 * t) * t)).astype(np.int16)  # another pitch at every moment
    file = tmp_path / f"a.{ending}"
    write_film(file, wave=wave, sound=codec, rate=rate)
    reader, plain = TrackReader(Blob(str(file))), TrackReader(Blob(str(file)))
    whole = plain.samples((0, 200))
    whole = np.pad(whole, [(plain.parts[0][0], 0), (0, 0)])  # an MP3's first sample has a time after 0
    scale = 32768 if whole.dtype.kind == "f" else 1
    for start, end in ((0.5, 1.0), (0.75, 1.5), (50.0, 51.0), (20.125, 21.0), (59.5, 200.0)):
        cut = reader.samples((start, end))
        wanted = whole[round(start * rate) : round(end * rate)]
        if ending == "mp3":
            n = min(len(cut), len(wanted), rate // 4)
            best = max(np.corrcoef(cut[:n, 0], whole[round(start * rate) + d :][:n, 0])[0, 1] for d in range(-60, 60))
            assert abs(len(cut) - len(wanted)) <= 1200 and best > 0.99
        else:
            assert np.array_equal(cut, wanted)
            assert np.allclose(scale * cut[:, 0], wave[round(start * rate) : round(end * rate)], atol=1)
    data = wav_bytes(whole, rate)
    (tmp_path / "b.wav").write_bytes(data)
    assert np.array_equal(TrackReader(Blob(str(tmp_path / "b.wav"))).samples((0, 200)), whole)


def test_a_span_after_the_end_is_left_out_and_listed_and_one_over_it_is_cut_short(tmp_path):
    write_wav(tmp_path / "s" / "a.wav", noise(2, 8000, 1), 8000)
    pieces = Pieces.of([Piece(span_s=(0, 1)), Piece(span_s=(5, 6)), Piece(span_s=(1, 9))])
    run = write_run(tmp_path / "run", tmp_path / "s", ["a.wav"] * 3, [0] * 3, {"audio": "sound"}, pieces=pieces)
    done = export(run, "folders", tmp_path / "out")
    assert done.n_left_out == 1 and "has no sound in this span" in done.first_left_out
    assert (done.place / "left-out.csv").read_text().splitlines()[1] == "a.wav,5,6,has no sound in this span"
    assert len(read_wav(done.place / "cluster-000" / "a_00001.0-00009.0s.wav")[0]) == 8000


def film_frames(file):
    """(frames, H, W, 3), their times, and seconds of sound."""
    with av.open(str(file)) as film:
        frames = [(f.to_ndarray(format="rgb24"), f.time) for f in film.decode(video=0)]
    with av.open(str(file)) as film:
        seconds = sum(f.samples / f.sample_rate for f in film.decode(audio=0)) if film.streams.audio else 0
    return np.stack([f for f, _ in frames]), [t for _, t in frames], seconds


def test_a_clip_has_the_frames_of_its_span_its_box_and_its_sound(tmp_path):
    run = film_run(tmp_path)
    done = export(run, "folders", tmp_path / "out")
    names = sorted(file.name for file in done.place.rglob("*.mp4"))
    assert names == ["a_00000.0-00001.0s.mp4", "a_00001.0-00002.0s_0008-0004-0041-0036.mp4", "a_00002.0-00003.0s.mp4"]
    whole = film_frames(tmp_path / "films" / "a.mp4")[0].astype(int)
    for i, file in enumerate(sorted(done.place.rglob("*.mp4"), key=lambda file: file.name)):
        frames, times, seconds = film_frames(file)
        wanted = whole[10 * i : 10 * i + 10]
        wanted = wanted[:, 4:36, 8:40] if i == 1 else wanted  # H.264 has even sides only
        assert frames.shape == wanted.shape and np.abs(frames - wanted).mean() < 6
        assert np.allclose(times, np.arange(10) / 10, atol=0.002) and seconds == pytest.approx(1, abs=0.2)


def test_label_studio_shows_spans_of_sounds_in_seconds_and_of_films_in_frames(windows, tmp_path):
    out = export(windows, "label-studio", tmp_path / "out").place
    tasks = json.loads((out / "tasks.json").read_text())
    assert len(tasks) == len(SOUNDS)
    regions = {int(r["id"][1:]): r for task in tasks for r in task["predictions"][0]["result"]}
    for row, (path, span, label) in enumerate(WINDOWS):
        value = regions[row]["value"]
        assert (value["start"], value["end"]) == (span or (0, SOUNDS[path][0])) and value["labels"] == [f"cluster-00{label}"]
    (tmp_path / "film").mkdir()
    out = export(film_run(tmp_path / "film"), "label-studio", tmp_path / "out2").place
    (task,) = json.loads((out / "tasks.json").read_text())
    config = ElementTree.fromstring((out / "config.xml").read_text())
    assert task["data"]["fps"] == 10 and config.find("Video").get("frameRate") == "$fps"
    ranges = [r["value"]["ranges"][0] for r in task["predictions"][0]["result"]]
    assert [(r["start"], r["end"]) for r in ranges] == [(1, 10), (11, 20), (21, 30)]
    assert all(r["type"] == "timelinelabels" for r in task["predictions"][0]["result"])


@pytest.mark.parametrize("name", fitting_formats("audio", None))
def test_every_format_that_can_hold_them_takes_windows(name, windows, tmp_path):
    assert export(windows, name, tmp_path / "out").n_left_out == 0
