"""Features in shards: the same whichever process makes them, resumed after a kill, and labelled with the files they are of."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from selflabel import Run, label
from selflabel.base.errors import UserError
from selflabel.base.settings import make_settings
from selflabel.cli.embed_command import part_of
from selflabel.encoders import make_encoder
from selflabel.items import open_items
from selflabel.jobs import embed as embedding

N = 10


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Ten pictures, the fourth broken, in photos/ and photos.tar; conv4.safetensors; shards of four rows."""
    monkeypatch.setattr(embedding, "SHARD_ROWS", 4)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(N):
        pixels = np.full((12, 12, 3), (200, 20 * i, 90), np.uint8) + rng.integers(0, 9, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos/3.png").write_bytes(b"broken")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for i in range(N):
            data = (tmp_path / f"photos/{i}.png").read_bytes()
            info = tarfile.TarInfo(f"{i}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    save_file(make_encoder("conv4", 3, 12).state_dict(), tmp_path / "conv4.safetensors")
    return tmp_path


def embed(place, out, part=(1, 1), source="photos", encoder="frozen:conv4"):
    words = {"encoder": encoder, "weights": str(place / "conv4.safetensors")}
    settings = make_settings(source=str(place / source), device="cpu", workers=1, **words)
    return embedding.embed(settings, place / out, part)


def written(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_parts_give_the_rows_of_one_process_and_go_on_after_a_kill(place):
    report = embed(place, "one")
    assert report == {"n_items": 9, "n_skipped": 1, "n_shards": 3, "n_new": 3, "n_waiting": 0}
    assert embed(place, "two", (2, 2))["n_waiting"] == 2
    with pytest.raises(UserError, match=r"2 of 3 shards are not done .the first: part-00000"):
        open_items(place / "two")
    assert embed(place, "two", (1, 2))["n_new"] == 2 and written(place / "one") == written(place / "two")
    (place / "two/part-00002.done").unlink()  # as after a kill
    (place / "two/part-00002.npy").write_bytes(b"half")
    assert embed(place, "two")["n_new"] == 1 and written(place / "one") == written(place / "two")


@pytest.mark.parametrize("source", ["photos", "photos.tar"])
def test_the_folder_is_labelled_with_the_files_of_its_items(place, source):
    embed(place, "features", source=source)
    label(make_settings(source=str(place / "features"), clusters=2, method="kmeans", device="cpu"), place / "run")
    run = Run.open(place / "run")
    names = [f"{i}.png" for i in range(N) if i != 3]
    assert list(run.paths) == names and (place / "run/clusters.png").exists()
    assert "3.png" in (place / "run/skipped.csv").read_text()
    source = run.source().source
    assert [source.blobs(i)["image"].read() for i in range(9)] == [(place / "photos" / name).read_bytes() for name in names]
    found = {np.load(file).dtype.name for file in (place / "features").glob("*.npy")}
    assert found == {"float16"} and run.modalities["image"]["files"] == ["image"]


def test_files_that_are_gone_are_labelled_and_listed(place):
    embed(place, "features")
    (place / "photos/0.png").unlink()
    items = open_items(place / "features")
    assert items.missing == [("0.png", "no such file")] and len(items) == 9


def test_a_folder_of_another_source_or_encoder_is_not_gone_on_with(place):
    embed(place, "features")
    Image.new("RGB", (12, 12)).save(place / "photos/a.png")
    with pytest.raises(UserError, match="was begun with other items"):
        embed(place, "features")
    with pytest.raises(UserError, match="holds other files"):
        embed(place, "photos")
    for encoder, sentence in (("scratch", "needs a fixed encoder"), ("frozen", "is for feature input")):
        with pytest.raises(UserError, match=sentence):
            embed(place, "new", encoder=encoder)


@pytest.mark.parametrize("change", [{"image_offset": [-1] * 4}, {"image_inside": ["zip:8:99999999999"] * 4}, {"id": ["x"] * 4}])
def test_a_folder_whose_tables_are_not_as_they_were_written_is_refused(place, change):
    import pyarrow as pa
    import pyarrow.parquet as pq

    embed(place, "features")
    file = place / "features/part-00001.parquet"
    table = pq.read_table(file)
    for name, values in change.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, file)
    with pytest.raises(UserError, match=r"part-00001\.parquet: is not as .* writes it; remove part-00001\.done"):
        open_items(place / "features")


def test_a_part_is_one_of_n():
    assert part_of("8/8") == (8, 8)
    for text in ("0/8", "9/8", "1", "a/b", "1/0"):
        with pytest.raises(UserError, match="is not I/N"):
            part_of(text)
