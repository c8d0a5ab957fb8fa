import pytest

from selflabel.items.files import OutsideFolder, file_below


def test_a_file_in_a_folder_is_found_with_its_links_resolved(tmp_path):
    root = tmp_path.resolve()
    (root / "sub").mkdir()
    (root / "sub" / "a.png").write_bytes(b"x")
    (root / "link.png").symlink_to(root / "sub" / "a.png")
    assert file_below(root, "sub/a.png") == file_below(root, "link.png") == root / "sub" / "a.png"


@pytest.mark.parametrize("name", ["../private.png", "link.png", "sub/../../private.png"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    root = tmp_path.resolve() / "set"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "private.png").write_bytes(b"x")
    (root / "link.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(OutsideFolder):
        file_below(root, name)


def test_a_missing_file_and_an_impossible_name_are_different_errors(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("gone.png", "folder"):
        with pytest.raises(FileNotFoundError):
            file_below(tmp_path.resolve(), name)
    for name in ("a\0.png", "a" * 300 + ".png"):
        with pytest.raises(ValueError, match="no file"):
            file_below(tmp_path.resolve(), name)
