"""What the page says of a run, against plain counts; what it suggests, against what was planted."""

import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal

from selflabel.base.errors import UserError
from selflabel.edits import LOG, Reader, append, parse, read_edits
from selflabel.gallery import media
from selflabel.gallery.album import Album, one_thread
from selflabel.gallery.hints import VALLEY, hints, likely, two_modes
from selflabel.gallery.plane import CELLS, MOST_POINTS, Plane, seen, within
from selflabel.gallery.projection import project
from selflabel.gallery.server import Page, ordered
from selflabel.gallery.summary import overview
from selflabel.items import Blob
from selflabel.runs.run import csv_text
from tests.gallery.conftest import nearest, write_run


@pytest.fixture
def album(picture_run):
    return Album(picture_run())


def lines(album):
    return {line["id"]: line for line in overview(album, album.state)["clusters"]}


def test_a_file_that_is_deleted_once_its_length_is_promised_is_still_sent_whole(tmp_path):
    file, body = tmp_path / "a.png", bytes(range(256)) * 4000
    file.write_bytes(body)

    async def sent():
        answer = media.answer(Blob(str(file)), "a.png", "bytes=10-")
        file.unlink()
        return answer.headers["content-length"], b"".join([block async for block in answer.body_iterator])

    with start_blocking_portal() as portal:  # a thread of its own: a browser's tests leave a loop running in this one
        assert portal.call(sent) == (str(len(body) - 10), body[10:])


def test_the_overviews_numbers_are_plain_counts(album):
    found, labels = overview(album, album.state), album.raw
    truth = np.repeat([f"kind {k}" for k in range(6)], 30)
    for line in found["clusters"]:
        rows = np.flatnonzero(labels == line["id"])
        same = [(labels[album.neighbours[r]] == line["id"]).mean() for r in rows]
        classes, counts = np.unique(truth[rows], return_counts=True)
        assert line["size"] == len(rows)
        assert line["agreement"] == pytest.approx(np.mean(same), abs=0.005)
        assert line["confidence"] == pytest.approx(album.confidence[rows].mean(), abs=1e-3)
        assert line["purity"] == pytest.approx(counts.max() / len(rows), abs=1e-4) and line["class"] == classes[counts.argmax()]
    assert sum(found["confidences"]) == 180 and found["progress"] == {
        "clusters": 6,
        "named": 0,
        "items": 180,
        "covered": 0,
        "rejected": 0,
    }


def test_a_merged_clusters_card_shows_its_parts_by_their_size(album):
    album.edit({"do": "merge", "clusters": [4, 5], "into": 4})
    rows = lines(album)[4]["rows"]
    assert np.bincount(album.raw[rows], minlength=6).tolist() == [0, 0, 0, 0, 6, 6]
    for part in (4, 5):
        typical = [r for r in album.state.members(4).tolist() if album.raw[r] == part]
        assert [r for r in rows if album.raw[r] == part] == typical[:6]


def test_typical_items_come_first_and_their_reverse_is_least_sure_first(album):
    rows = ordered(album, album.state, "2", "typical", "")
    sure = album.confidence[rows] + (album.raw[album.neighbours[rows]] == 2).mean(axis=1)
    assert (np.diff(sure) < 0.01).all() and set(rows) == set(np.flatnonzero(album.raw == 2))
    assert (ordered(album, album.state, "2", "unsure", "") == rows[::-1]).all()
    assert set(rows[-3:]) == set(np.flatnonzero(album.raw == 2)[:3])  # the three that lie elsewhere


def test_edits_show_at_once_and_from_another_process_too(album):
    album.edit({"do": "merge", "clusters": [3, 4], "into": 3})
    album.edit({"do": "name", "cluster": 3, "name": "both"})
    album.edit({"do": "reject", "items": [0, 1]})
    assert (
        lines(album)[3]["size"] == 60
        and lines(album)[3]["name"] == "both"
        and 4 not in lines(album)
        and lines(album)[0]["size"] == 28
    )
    assert overview(album, album.state)["progress"] == {"clusters": 5, "named": 1, "items": 180, "covered": 62, "rejected": 2}
    other = Album(album.run)
    other.edit({"do": "undo"})
    other.edit({"do": "undo"})
    assert lines(album) == lines(other) and lines(album)[3]["name"] == "" and lines(album)[0]["size"] == 30


def test_states_after_many_edits_undos_and_redos_are_those_worked_out_anew(album):
    rng = np.random.default_rng(0)
    for step in range(60):
        clusters = album.state.edited.clusters
        kinds = ["move", "reject", "restore", "undo", "redo", "name", "split"]
        do = kinds[rng.integers(len(kinds))]
        items = rng.integers(0, 180, 4).tolist()
        values = {
            "move": {"items": items, "to": int(rng.choice(clusters))},
            "reject": {"items": items},
            "restore": {"items": items},
            "name": {"cluster": int(clusters[0]), "name": f"n{step}"},
            "split": {"cluster": int(rng.choice(clusters)), "parts": 2},
        }
        try:
            album.edit({"do": do, **values.get(do, {})})
        except UserError:
            continue
        anew = Album(album.run).state
        now = album.state
        assert (now.labels == anew.labels).all() and (now.order == anew.order).all() and (now.settled == anew.settled).all()
        assert (
            now.edited.names == anew.edited.names
            and now.edited.clusters == anew.edited.clusters
            and album.used(now) == album.used(anew)
        )


def test_what_a_person_decided_on_is_not_shown_again_for_a_look(album):
    assert len(ordered(album, album.state, "all", "unsure", "")) == 180
    album.edit({"do": "move", "items": [5, 6], "to": 1})
    left = ordered(album, album.state, "all", "unsure", "")
    assert len(left) == 178 and not {5, 6} & set(left.tolist())


def test_truth_from_a_file_counts_only_what_it_names(picture_run, tmp_path):
    run = picture_run()
    rows = [(f"{i:04d}.png", "a, b" if i < 20 else "c") for i in range(40)] + [("elsewhere.png", "c")]
    (tmp_path / "t.csv").write_text(csv_text(["path", "label"], rows))
    found = lines(Album(run, tmp_path / "t.csv"))
    assert (
        found[0]["purity"] == pytest.approx(20 / 30, abs=1e-4)
        and found[0]["class"] == "a, b"
        and found[1]["purity"] == 1
        and found[5]["purity"] == 0
    )
    (tmp_path / "none.csv").write_text("path,label\nx.png,1\n")
    with pytest.raises(UserError, match="none of its paths"):
        Album(run, tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("name,label\nx.png,1\n")
    with pytest.raises(UserError, match="'path' and 'label'"):
        Album(run, tmp_path / "bad.csv")


def test_a_log_read_as_it_grows_is_the_log_read_anew(tmp_path):
    reader, file = Reader(tmp_path), tmp_path / LOG
    assert reader.edits() == []
    for step in range(4):
        append(tmp_path, parse({"do": "name", "cluster": step, "name": "x"}))
        append(tmp_path, parse({"do": "undo"}))
        assert reader.edits() == read_edits(tmp_path) and len(reader.edits()) == 2 * step + 2
        file.write_bytes(file.read_bytes() + b'{"torn": ')
        assert reader.edits() == read_edits(tmp_path)
    file.write_bytes(b"")
    assert reader.edits() == []
    append(tmp_path, parse({"do": "undo"}))
    file.unlink()
    assert reader.edits() == []


# --------------------------------------------------------------------------------------------------------- suggestions


def planted(tmp_path, rng):
    """Clusters 0 and 1 are one cloud cut in half, 2 is two clouds, 3 is one."""
    clouds = [rng.normal(0, 1, (200, 12)) + 14 * np.eye(12)[i] for i in range(4)]
    features = np.concatenate(clouds).astype(np.float32)
    labels = np.concatenate([(clouds[0][:, 3] > 0).astype(int), np.full(400, 2), np.full(200, 3)])
    paths = [f"row:{i:06d}" for i in range(800)]
    return Album(write_run(tmp_path / "run", "digits", paths, labels, features, nearest(features), confidence=np.full(800, 0.99)))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_cut_is_suggested_for_a_merge_and_what_was_joined_for_a_split_and_nothing_else(tmp_path, seed):
    album = planted(tmp_path, np.random.default_rng(seed))
    found = hints(album, album.state, {})
    assert [m["clusters"] for m in found["merges"]][:1] == [[0, 1]] and all(set(m["clusters"]) == {0, 1} for m in found["merges"])
    assert [s["cluster"] for s in found["splits"]] == [2]
    album.edit({"do": "merge", "clusters": [0, 1], "into": 0})
    album.edit({"do": "split", "cluster": 2, "parts": 2})
    after = hints(album, album.state, {})
    assert after["merges"] == [] and after["splits"] == []


def test_items_are_offered_the_clusters_of_their_neighbours_and_of_the_runs_own_doubt(tmp_path):
    album = planted(tmp_path, np.random.default_rng(0))
    rows = np.flatnonzero(album.raw == 0)[:20]  # half a cloud: the other half is cluster 1, and the run's second guess is, too
    found = likely(album, album.state, rows)
    assert found["clusters"][0] == 1 and found["within"] == 0 and 0 not in found["clusters"]
    near = album.raw[album.neighbours[rows]]
    weight = [(near == c).mean(axis=1).sum() + album.top_probs[rows, 1][album.top_labels[rows, 1] == c].sum() for c in range(4)]
    assert found["clusters"] == [c for c in np.argsort(-np.array(weight), kind="stable").tolist() if c and weight[c]]
    both = likely(album, album.state, np.array([rows[0], np.flatnonzero(album.raw == 3)[0]]))
    assert both["within"] is None and set(both["clusters"][:2]) == {0, 3}
    album.edit({"do": "merge", "clusters": [1, 3], "into": 3})  # what was said of 1 is said of where its items are now
    assert likely(album, album.state, rows)["clusters"] == [3]
    album.edit({"do": "reject", "items": rows.tolist()})
    assert likely(album, album.state, rows)["within"] is None


def test_two_ways_of_being_one_thing_are_no_split_where_clusters_lie_further_apart(tmp_path):
    rng = np.random.default_rng(0)
    features = (rng.normal(0, 1, (800, 12)) + 14 * np.eye(12)[np.arange(800) % 4]).astype(np.float32)
    for gap, suggested in ((9, []), (20, [0])):
        moved = features + gap * np.outer(np.arange(800) % 8 == 0, np.eye(12)[5]).astype(np.float32)
        labels, paths = np.arange(800) % 4, [f"row:{i:06d}" for i in range(800)]
        album = Album(write_run(tmp_path / f"run-{gap}", "digits", paths, labels, moved, nearest(moved)))
        assert two_modes(moved[labels == 0]).valley < 0.1
        assert [s["cluster"] for s in hints(album, album.state, {})["splits"]] == suggested


def test_one_cloud_is_rarely_taken_for_two():
    rng = np.random.default_rng(0)
    one = [rng.normal(size=(400, d)) for d in (2, 16, 128, 512) for _ in range(25)]
    two = [
        rng.normal(size=(400, d)) + 5 * np.eye(d)[0] * (np.arange(400) % 3 == 0)[:, None] for d in (2, 16, 128) for _ in range(10)
    ]
    with one_thread():
        wrong, right = (sum(two_modes(x.astype(np.float32)).valley <= VALLEY for x in clouds) for clouds in (one, two))
    assert wrong <= 1 and right >= 26, (wrong, right)


def test_kinds_that_take_turns_are_two_modes():
    x = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    x[::2, 0] += 9
    assert two_modes(x).valley <= VALLEY


def test_alike_items_are_no_two_modes():
    assert two_modes(np.ones((100, 8), np.float32)).valley == 1.0


# ------------------------------------------------------------------------------------------------------------- the map


def test_the_map_puts_items_beside_their_neighbours_whether_laid_out_or_placed(blobs):
    features, truth = blobs(n=600, k=4, d=10)
    places = project(features.astype(np.float16), sample=400)
    assert places.shape == (600, 2) and places.min() >= -0.1 and places.max() <= 1.1
    near = nearest(places, 5)
    assert (truth[near] == truth[:, None]).mean() > 0.97
    assert (project(features.astype(np.float16), sample=400) == places).all()


@pytest.mark.parametrize("n,d", [(1, 3), (2, 1), (7, 2), (49, 4)])
def test_the_map_of_few_items_is_there_too(n, d):
    places = project(np.random.default_rng(0).normal(size=(n, d)).astype(np.float32))
    assert places.shape == (n, 2) and np.isfinite(places).all()


def test_the_map_is_made_once_and_kept_in_the_run(picture_run):
    import time

    run = picture_run(each=8)
    plane = Plane(run.folder, 48)
    deadline = time.monotonic() + 60
    while not plane.ready() and time.monotonic() < deadline:
        assert not plane.trouble
        time.sleep(0.05)
    assert np.load(run.folder / "map.npy").shape == (48, 2)
    again = Plane(run.folder, 48)
    assert again.ready() and again.worker is None
    assert not Plane(run.folder, 47).ready()  # a map of other items is none
    (run.folder / "features.npy").write_bytes(b"no array")
    broken = Plane(run.folder, 47)
    while not broken.ready() and not broken.trouble and time.monotonic() < deadline:
        time.sleep(0.05)
    assert broken.trouble


def unpacked(data):
    inside, n, cells = np.frombuffer(data, "<u4", 3)
    x, y = np.frombuffer(data, "<f4", 2 * n, 12).reshape(2, n)
    row, label = np.frombuffer(data, "<i4", 2 * n, 12 + 8 * n).reshape(2, n)
    light = np.frombuffer(data, np.uint8, cells * cells, 12 + 16 * n)
    return inside, x, y, row, label, light


def test_a_window_shows_what_lies_in_it():
    rng = np.random.default_rng(0)
    places, labels = rng.random((5000, 2), np.float32), rng.integers(-1, 5, 5000)
    inside, x, y, row, label, light = unpacked(seen(places, labels, (0.2, 0.3, 0.6, 0.9)))
    true = np.flatnonzero((places[:, 0] >= 0.2) & (places[:, 0] <= 0.6) & (places[:, 1] >= 0.3) & (places[:, 1] <= 0.9))
    assert inside == len(true) and set(row) == set(true) and (label == labels[row]).all() and len(light) == 0
    assert (np.stack([x, y], axis=1) == places[row]).all()


def test_a_crowd_is_shown_as_some_points_and_the_density_of_all():
    rng = np.random.default_rng(0)
    places = rng.random((MOST_POINTS * 3, 2), np.float32) * [0.5, 1]
    inside, x, _, row, _, light = unpacked(seen(places.astype(np.float32), np.zeros(len(places), int), (0, 0, 1, 1)))
    light = light.reshape(CELLS, CELLS)
    assert inside == len(places) and len(row) == MOST_POINTS == len(set(row)) and x.max() <= 0.5
    assert (light[:, : CELLS // 2] > 0).mean() > 0.8 and (light[:, CELLS // 2 + 1 :] == 0).all()


def test_a_lasso_holds_what_is_within_it():
    places = np.random.default_rng(0).random((20_000, 2)).astype(np.float32)
    found = set(within(places, [(0.2, 0.2), (0.8, 0.2), (0.5, 0.8)]).tolist())
    x, y = places.T
    inner = (y > 0.205) & (y < 0.2 + 2 * (x - 0.2) - 0.01) & (y < 0.2 + 2 * (0.8 - x) - 0.01)
    outer = (y < 0.195) | (y > 0.2 + 2 * (x - 0.2) + 0.01) | (y > 0.2 + 2 * (0.8 - x) + 0.01)
    assert set(np.flatnonzero(inner)) <= found and not found & set(np.flatnonzero(outer))


# ------------------------------------------------------------------------------------------------------------- a page of


@pytest.mark.parametrize("source", ["digits"])
def test_a_run_of_an_embedded_set_of_features_and_of_nothing_named_opens(source, tmp_path):
    n = 40
    features = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    run = write_run(tmp_path / "a", source, [f"row:{i:06d}" for i in range(n)], np.arange(n) % 2, features, nearest(features))
    data, whole = Page(run).thumbs.bundle(range(n))
    assert whole and data[4 * n : 4 * n + 4] == b"\x89PNG"
    np.save(tmp_path / "x.npy", features)
    run = write_run(
        tmp_path / "b", tmp_path / "x.npy", [f"row:{i:06d}" for i in range(n)], np.arange(n) % 2, features, nearest(features)
    )
    assert Page(run).thumbs.bundle([0, 1])[1]
    (tmp_path / "x.npy").unlink()
    page = Page(
        write_run(
            tmp_path / "c", tmp_path / "x.npy", [f"row:{i:06d}" for i in range(n)], np.arange(n) % 2, features, nearest(features)
        )
    )
    assert "x.npy" in page.source_trouble and page.thumbs.bundle([0, 1]) == (bytes(8), False)
