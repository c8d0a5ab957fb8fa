import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.decode.look import look_at
from selflabel.items import open_items


def png(value=9):
    data = io.BytesIO()
    Image.new("L", (6, 6), value).save(data, "PNG")
    return data.getvalue()


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_a_folder_is_searched_below_and_its_sub_folders_mean_nothing(tmp_path):
    for name in ("cats/a.PNG", "dogs/deep/b.jpg", "c.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    items = open_items(tmp_path)
    assert sorted(items.paths) == ["c.png", "cats/a.PNG", "dogs/deep/b.jpg"]
    assert items.truth is None


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_manifests_of_every_kind_give_paths_and_keep_truth_apart(tmp_path, ending):
    for name in ("a.png", "sub/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png())
    rows = [{"path": "a.png", "label": "x"}, {"path": "sub/b.png", "label": "y"}, {"path": "gone.png", "label": "x"}]
    file = tmp_path / f"list{ending}"
    if ending == ".csv":
        file.write_text("path,label\n" + "\n".join(f"{r['path']},{r['label']}" for r in rows))
    elif ending == ".jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    items = open_items(file)
    assert items.paths == ["a.png", "sub/b.png"] and items.truth == ["x", "y"]
    assert items.skipped == [("gone.png", "no such file")]


def test_a_manifest_never_leaves_its_folder_unless_the_path_is_written_out(tmp_path):
    inside, outside = tmp_path / "set", tmp_path / "private.png"
    inside.mkdir()
    outside.write_bytes(png())
    (inside / "a.png").write_bytes(png())
    (inside / "link.png").symlink_to(outside)
    (inside / "list.csv").write_text(f"path\na.png\n../private.png\nlink.png\n{outside}\n")
    items = open_items(inside / "list.csv")
    assert items.paths == ["a.png", str(outside)]
    assert [p for p, _ in items.skipped] == ["../private.png", "link.png"]


def test_tar_shards_are_read_in_place_with_truth_beside(tmp_path):
    for shard in range(2):
        with tarfile.open(tmp_path / f"s-{shard:03d}.tar", "w") as tar:
            add(tar, f"{shard}a.png", png(shard))
            add(tar, f"{shard}a.cls", b"7")
            add(tar, "../evil.png", png())
            add(tar, "/evil.png", png())
    items = open_items(str(tmp_path / "s-{000..001}.tar"))
    assert len(items) == 2 and items.truth == ["7", "7"] and len(items.skipped) == 4
    assert items.blobs["image"][1].read() == png(1)
    assert len(open_items(str(tmp_path / "s-*.tar"))) == 2
    assert open_items(str(tmp_path / "s-000.tar")).paths == ["0a.png"]


def test_arrays_are_images_or_features_and_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8, 3), np.uint8))
    assert open_items(tmp_path / "x.npy").paths[3] == "row:000003"
    np.savez(tmp_path / "x.npz", x=np.ones((5, 4), np.float32), y=np.arange(5))
    items = open_items(tmp_path / "x.npz")
    assert items.are_features and items.truth == list("01234")
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="without running code"):
        open_items(tmp_path / "evil.npy")
    spoiled = np.ones((4, 3), np.float32)
    spoiled[2, 1] = np.nan
    items = open_items(spoiled)
    assert len(items) == 3 and items.skipped == [("row:000002", "a value is NaN or infinite")]


@pytest.mark.parametrize(
    "array", [np.zeros(4), np.zeros((0, 3)), np.zeros((2, 3, 4, 5)), np.full((2, 4, 4), 999.0), np.full((2, 3), np.nan)]
)
def test_other_arrays_are_refused_in_a_sentence(array):
    with pytest.raises(UserError):
        open_items(array)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no-such-folder", None, "no such file"),
        ("empty", "folder", "no images"),
        ("list.csv", b"file\na.png\n", "no 'path' column"),
        ("list.csv", b"path\ngone.png\n", "none of its 1 paths"),
        ("list.csv", b"", "empty"),
        ("list.jsonl", b"[1]\n", "object"),
        ("list.parquet", b"junk", "cannot be read"),
        ("x.npy", b"junk", "cannot be loaded"),
        ("x.tar", b"junk", "uncompressed tar"),
        ("x.xyz", b"junk", "cannot be labelled"),
    ],
)
def test_unusable_sources_are_named_with_the_remedy(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_items(path)


def test_the_embedded_sets_are_there():
    digits, mnist = open_items("digits"), open_items("mnist5k")
    assert digits.array.shape == (1797, 8, 8) and mnist.array.shape == (5000, 28, 28)
    assert len(set(mnist.truth)) == 10
    assert look_at(digits).kind == look_at(mnist).kind == "glyph"
