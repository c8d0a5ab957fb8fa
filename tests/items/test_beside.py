"""Arrays of features beside their files, and beside other arrays of the same items."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from tests.items.pictures import png


@pytest.fixture
def folder(tmp_path):
    """Features of six rows, of which row 1 is not finite, and six pictures in two folders."""
    for i in range(6):
        file = tmp_path / "photos" / ("b" if i % 2 else "a") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(i))
    x = np.arange(18, dtype=np.float32).reshape(6, 3)
    x[1, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.ones((6, 2)))
    return tmp_path


def test_row_i_of_features_is_the_ith_file_of_the_sorted_folder(folder):
    items = open_items(folder / "x.npy", files=str(folder / "photos"))
    assert items.paths == ["a/0.png", "a/4.png", "b/1.png", "b/3.png", "b/5.png"] and items.array[1].tolist() == [6, 7, 8]
    assert items.skipped == [("a/2.png", "a value is NaN or infinite")]
    assert items.are_features and items.modalities == ("image",) and items.blobs["image"][2].read() == png(1)


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.jsonl"])
def test_a_file_of_a_list_that_is_not_there_is_named_and_its_row_is_kept(folder, name):
    names = [f"photos/a/{i}.png" for i in (4, 2, 0)] + ["photos/gone.png", "photos/b/1.png", "photos/b/5.png"]
    lines = {
        "list.txt": "\r\n".join([*names, ""]),
        "list.csv": "\n".join(["path,label", *(f"{n},c{i}" for i, n in enumerate(names))]),
        "list.jsonl": "\n".join(f'{{"path": "{n}"}}' for n in names),
    }
    (folder / name).write_text(lines[name])
    items = open_items(folder / "x.npy", files=str(folder / name))
    assert items.paths == [names[0], *names[2:]] and items.missing == [("photos/gone.png", "no such file")]
    assert items.blobs["image"][2] is None and items.blobs["image"][3].read() == png(1)
    assert any("1 of 5 files cannot be shown" in note and "gone.png" in note for note in items.notes)
    assert items.truth == (["c0", "c2", "c3", "c4", "c5"] if name == "list.csv" else None)


def test_more_or_fewer_files_than_rows_are_one_sentence_with_both_numbers(folder):
    (folder / "photos/a/0.png").unlink()
    with pytest.raises(UserError, match=r"names 5 files, and .*x.npy has 6 rows"):
        open_items(folder / "x.npy", files=str(folder / "photos"))
    with pytest.raises(UserError, match="holds no array of features"):
        open_items(folder / "photos", files=str(folder / "photos"))
    with pytest.raises(UserError, match="is an array itself"):
        open_items(folder / "x.npy", files=str(folder / "y.npy"))
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match="names no file"):
        open_items(folder / "x.npy", files=str(folder / "empty.txt"))


def test_two_spaces_stand_side_by_side_by_their_row_numbers(folder):
    np.savez(folder / "z.npz", p=np.zeros((6, 4)), q=np.full((6, 1), 7.0))
    items = open_items(f"{folder}/y.npy+{folder}/x.npy+{folder}/z.npz:q", files=str(folder / "photos"))
    assert items.space_dims == (2, 3, 1) and items.array.shape == (5, 6)
    assert items.array[1].tolist() == [1, 1, 6, 7, 8, 7] and items.paths[1] == "a/4.png"
    (folder / "a+b.npy").write_bytes((folder / "y.npy").read_bytes())
    assert open_items(folder / "a+b.npy").space_dims == ()  # a file of that name is one array
    np.save(folder / "short.npy", np.ones((4, 2)))
    with pytest.raises(UserError, match=r"x.npy has 6 rows and .*short.npy has 4 rows"):
        open_items(f"{folder}/x.npy+{folder}/short.npy")
    np.save(folder / "pictures.npy", np.ones((6, 5, 5)))
    with pytest.raises(UserError, match=r"pictures.npy: holds pictures"):
        open_items(f"{folder}/x.npy+{folder}/pictures.npy")
