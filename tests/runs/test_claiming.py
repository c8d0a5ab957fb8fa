"""A run folder reserved for one process: what is there is resumed, replaced or refused."""

from dataclasses import asdict

import numpy as np
import pytest

from selflabel import edits
from selflabel.base.errors import UserError
from selflabel.base.files import locked_folder
from selflabel.base.settings import make_settings
from selflabel.edits import Name
from selflabel.runs.claiming import claimed, clear_run, keep_edits
from selflabel.runs.run import Run
from selflabel.runs.writing import write_start
from tests.run_folders import write_run

SETTINGS = make_settings(source="photos", clusters=3)


@pytest.fixture
def finished(tmp_path):
    return write_run(tmp_path / "run", tmp_path, [f"{i}.png" for i in range(30)], np.arange(30) % 3)


def begun(folder, **changed):
    write_start(folder, {"settings": {"source": "photos", "clusters": 3} | changed})
    return Run(folder)


def claim(run, resume=False, overwrite=False, settings=SETTINGS):
    with claimed(run, settings, resume, overwrite):
        return sorted(p.name for p in run.folder.iterdir())


def test_a_new_or_empty_folder_is_claimed_and_goes_if_nothing_is_written(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert claim(Run(tmp_path / name)) == []
        assert not (tmp_path / name).exists()


def test_a_run_that_is_there_needs_a_word_of_the_user(finished, tmp_path):
    with pytest.raises(UserError, match="a finished run; add --resume"):
        claim(finished)
    with pytest.raises(UserError, match="an unfinished run; add --resume"):
        claim(begun(tmp_path / "begun"))
    with pytest.raises(UserError, match="clusters: 5, now 3"):
        claim(begun(tmp_path / "other", clusters=5), resume=True)


def test_an_unfinished_run_is_resumed_as_it_is_and_replaced_on_request(tmp_path):
    full = {k: v for k, v in SETTINGS.__dict__.items() if v is not None}
    run = begun(tmp_path / "begun", **full)
    assert claim(run, resume=True) == ["run.toml", "skipped.csv"]
    assert claim(run, overwrite=True) == []


def test_an_unfinished_run_goes_on_with_auto_with_what_auto_chose_and_with_weights_that_moved(tmp_path):
    fixed = make_settings(source="photos", clusters=3, encoder="image=frozen:timm:x", weights="elsewhere.safetensors")
    for encoder, digest, others in (
        ("resnet9", {}, ["auto", "scratch"]),
        ("frozen:timm:x", {"weights_sha256": "0"}, ["auto", fixed]),
    ):
        run = Run(tmp_path / encoder[:6])
        write_start(run.folder, {"settings": asdict(SETTINGS), "worked_out": {"image": {"encoder": encoder} | digest}})
        for other in others:
            again = other if isinstance(other, type(SETTINGS)) else make_settings(source="photos", clusters=3, encoder=other)
            assert claim(run, resume=True, settings=again) == ["run.toml", "skipped.csv"]
        with pytest.raises(UserError, match="encoder: auto, now conv4"):
            claim(run, resume=True, settings=make_settings(source="photos", clusters=3, encoder="conv4"))


def test_other_things_are_never_mixed_in_or_deleted(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a folder of other things"):
        claim(Run(tmp_path / "photos"))
    with pytest.raises(UserError, match="only replaces a run folder"):
        claim(Run(tmp_path / "photos"), overwrite=True)
    with pytest.raises(UserError, match="is a file"):
        claim(Run(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be made"):
        claim(Run(tmp_path / "file" / "run"))
    assert (tmp_path / "photos" / "a.png").exists()


def test_a_folder_that_another_process_holds_is_refused(tmp_path):
    with locked_folder(tmp_path / "run"), pytest.raises(UserError, match="another process is labelling into it"):
        claim(Run(tmp_path / "run"))


def test_a_run_labelled_anew_leaves_the_edits_beside_it(finished):
    for name in ("first", "second"):
        edits.append(finished.folder, Name(cluster=0, name=name))
        kept = (finished.folder / "edits.jsonl").read_bytes()
        keep_edits(finished.folder)
        aside = sorted(finished.folder.parent.glob("run-edits-*.jsonl"))
        assert aside[-1].read_bytes() == kept and not (finished.folder / "edits.jsonl").exists()
    assert [file.name for file in aside] == ["run-edits-1.jsonl", "run-edits-2.jsonl"]
    edits.append(finished.folder, Name(cluster=0, name="third"))
    (finished.folder / "thumbs").mkdir()
    clear_run(finished)
    assert not any(finished.folder.iterdir()) and len(list(finished.folder.parent.glob("run-edits-*.jsonl"))) == 3
    clear_run(finished)  # nothing is there any more
