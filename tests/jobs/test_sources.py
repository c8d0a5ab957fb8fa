"""Every kind of source through a whole run, whose items are decoded in other processes."""

import csv
import os
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selflabel import Run, label
from selflabel.base.settings import differences, make_settings
from selflabel.items import read_rows
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.predict import predict


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures, dark or light."""
    rng = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    for i in range(12):
        pixels = np.clip(rng.normal(60 + 130 * (i % 2), 20, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / f"{i:02d}.png")
    return tmp_path / "set"


def run_on(source, out, notes=None, **settings):
    made = make_settings(source=source, method="kmeans", clusters=2, device="cpu", **settings)
    label(made, out, callbacks=Callbacks(say=(notes if notes is not None else []).append))
    return Run.open(out)


def as_zip(files, place):
    with zipfile.ZipFile(place / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return str(place / "set.zip")


def as_tar_gz(files, place):
    with tarfile.open(place / "set.tar.gz", "w:gz") as tar:
        for file in files:
            tar.add(file, file.name)
    return str(place / "set.tar.gz")


def as_parquet(files, place):
    cells = pa.array([{"bytes": f.read_bytes(), "path": f.name} for f in files], pa.struct({"bytes": "binary", "path": "string"}))
    pq.write_table(pa.table({"image": cells}), place / "set.parquet", row_group_size=5)
    return str(place / "set.parquet")


def as_files(files, place):
    return [str(file) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("make", [as_zip, as_tar_gz, as_parquet, as_files])
def test_a_set_has_the_same_labels_in_every_kind_of_source(pictures, tmp_path, make):
    files = sorted(pictures.iterdir())
    plain = run_on(str(pictures), tmp_path / "plain")
    other = run_on(make(files, tmp_path), tmp_path / "other")
    assert list(other.paths) == list(plain.paths) == [f.name for f in files]
    assert other.raw_labels.equals(plain.raw_labels)
    assert set(plain.raw_labels["label"].to_pylist()[::2]) != set(plain.raw_labels["label"].to_pylist()[1::2])
    assert predict(plain, make(files, tmp_path), "cpu").labels.tolist() == plain.raw_labels["label"].to_pylist()


@pytest.mark.slow
def test_odd_names_survive_and_what_is_left_out_is_said_and_listed(pictures, tmp_path):
    names = ["line\nbreak.png", "carriage\rreturn.png", 'quo"te,\t.png', "\x1b[31mred.png"]
    for old, new in zip(sorted(pictures.iterdir()), names):
        old.rename(pictures / new)
    (pictures / "09.png").rename(pictures / os.fsdecode(b"caf\xe9.png"))
    (pictures / "x\n.jxl").write_bytes(b"x")
    notes = []
    run = run_on(str(pictures), tmp_path / "run", notes, encoder="scratch")
    assert set(names) < set(run.paths) and len(run.paths) == 11
    assert [row["path"] for row in read_rows(run.folder / "labels.csv")] == list(run.paths)
    with (run.folder / "skipped.csv").open(newline="", encoding="utf-8") as file:
        skipped = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert skipped["caf\\xe9.png"] == "its name is not UTF-8; rename it" and ".jxl are not read" in skipped["x\n.jxl"]
    assert len(notes) == 2 and not any(c in "".join(notes) for c in "\n\r\x1b")


@pytest.mark.slow
def test_one_of_several_files_may_have_a_name_that_is_no_utf8(pictures, tmp_path):
    (pictures / "09.png").rename(pictures / os.fsdecode(b"caf\xe9.png"))
    source = sorted(map(str, pictures.iterdir()))
    run = run_on(source, tmp_path / "run")
    assert len(run.paths) == 11 and any(name.endswith("caf\\xe9.png") for name in run.settings["source"])
    assert not differences(run.settings, make_settings(**run.settings | {"source": source}))


@pytest.mark.slow
def test_links_are_followed_where_the_run_says_so(pictures, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "more").symlink_to(pictures)
    Image.new("RGB", (24, 24)).save(tmp_path / "linked" / "a.png")
    run = run_on(str(tmp_path / "linked"), tmp_path / "run", follow_links=True)
    assert len(run.paths) == 13 and run.settings["follow_links"] is True
