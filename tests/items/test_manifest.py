import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selflabel.items import Blob, open_items
from tests.items.pictures import png


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


def test_columns_name_what_they_hold_and_a_cell_may_be_empty(tmp_path):
    for name in ("a.dat", "a.wav", "b.dat"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.csv").write_text("image,audio\na.dat,a.wav\nb.dat,\n,\nb.dat,gone.wav\n")
    items = open_items(tmp_path / "list.csv")
    assert items.paths == ["a.dat", "b.dat"] and items.modalities == ("image", "audio")
    assert list(items.blobs["audio"]) == [Blob(str(tmp_path.resolve() / "a.wav")), None]
    assert items.skipped == [("", "the path is empty"), ("gone.wav", "no such file")]


def test_a_path_tells_its_kind_by_its_ending_and_a_video_has_sound(tmp_path):
    for name in ("a.mp4", "b.unknown"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.csv").write_text("path\na.mp4\nb.unknown\n  \n" + "a" * 300 + "\n/" + "a" * 300 + "\n")
    items = open_items(tmp_path / "list.csv")
    assert items.modalities == ("image", "video", "audio")
    assert items.blobs["video"][0] == items.blobs["audio"][0] and items.blobs["image"][0] is None
    assert [reason for _, reason in items.skipped] == ["the path is empty", "no such file", "no such file"]
