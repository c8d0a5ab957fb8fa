"""The routes: what they send, which files they can reach, and which edits they refuse."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from selflabel.gallery.responses import MAX_ROWS, array_response
from selflabel.gallery.server import Page
from tests.gallery.client import Client, served_files
from tests.gallery.conftest import nearest, served_page, write_run

# ----------------------------------------------------------------------------------------------------------------- data


def test_the_page_knows_its_run(client, tmp_path):
    about = client.json("/api/about")
    assert about["folder"] == str(tmp_path / "run") and about["source"] == str(tmp_path / "items")
    assert about["method"] == "sela-nn" and about["skipped"] == 0
    assert about["estimated_accuracy"] is None and about["no_estimate"].startswith("this method has one head")
    assert ["clusters", "6 of 6, chosen by the user"] in about["summary"] and len(about["summary"]) == 2
    assert about["truth"] is True and about["modalities"] == ["image"] and about["source_error"] == ""


def test_an_edit_comes_back_as_the_new_overview_with_its_description(client):
    edit = {"do": "move", "items": [0, 1], "to": 3}
    result = json.loads(client.post("/api/edits", edit)[1])
    assert result.pop("edit") == "move of 2 items to cluster 3"
    assert result == client.json("/api/overview") and result["version"] == client.json("/api/version")["version"] > 0
    assert json.loads(client.post("/api/edits", {"do": "undo"})[1])["edit"] == "move of 2 items to cluster 3"


def test_rows_come_as_whole_numbers_of_four_bytes(client):
    rows = np.frombuffer(client.request("/api/rows/5?order=row")[1], "<i4")
    assert rows.tolist() == list(range(40, 48))
    assert client.status("/api/rows/99") == 409 and client.status("/api/rows/5?order=best") == 422


def test_a_list_that_mixes_clusters_comes_with_the_label_of_each_item_where_it_is_asked_for(client):
    client.post("/api/edits", {"do": "reject", "items": [7]})
    response, data = client.request("/api/rows/all?order=row&labels=true")
    rows, labels = np.frombuffer(data, "<i4").reshape(2, -1)
    assert response.headers["x-selflabel-labels"] == "1" and rows.tolist() == [*range(7), *range(8, 48)]
    assert labels.tolist() == [int(i // 8) if i not in (13, 14, 15) else 2 for i in rows]


def test_an_edit_for_another_run_is_refused(client):
    stamp = client.request("/api/version")[0].headers["x-selflabel-run"]
    edit = {"do": "name", "cluster": 0, "name": "x"}
    response, data = client.post("/api/edits", edit, X_Selflabel_Run="0" * 12)
    assert response.status == 409 and "another run" in json.loads(data)["error"]
    assert client.post("/api/edits", edit, X_Selflabel_Run=stamp)[0].status == 200


def test_names_on_the_map_wait_for_it(client):
    assert client.status("/api/places") == 409


def test_a_bundle_holds_lengths_and_then_pictures_and_is_cached_only_for_its_own_run(client):
    stamp = client.request("/")[1].decode().split('data-stamp="')[1].split('"')[0]
    response, data = client.request(f"/api/thumbs/{stamp}?rows=3,7")
    lengths = np.frombuffer(data, "<u4", 2)
    pictures = data[8 : 8 + lengths[0]], data[8 + lengths[0] :]
    assert len(pictures[1]) == lengths[1] and all(Image.open(io.BytesIO(p)).size == (40, 40) for p in pictures)
    assert "immutable" in response.headers["cache-control"]
    assert client.request("/api/thumbs/other?rows=3,7")[0].headers["cache-control"] == "no-store"
    too_many = ",".join(["0"] * (MAX_ROWS + 1))
    assert client.status(f"/api/thumbs/{stamp}?rows={too_many}") == 422


def test_the_map_is_pending_until_it_is_there_and_a_lasso_waits_for_it(picture_run):
    run = picture_run(each=8)
    line = [[0, 0], [1, 0], [1, 1], [0, 1]]
    page = Page(run)
    page.map.worker = StillRunning()
    with served_page(page) as address:
        client = Client(address)
        assert client.status("/api/map") == 202 and client.json("/api/map") == {"error": ""}
        assert client.post("/api/lasso", line)[0].status == 409
        page.map.positions = np.full((48, 2), 0.5, np.float32)
        assert client.status("/api/map") == 200
        assert np.frombuffer(client.post("/api/lasso", line)[1], "<i4").tolist() == list(range(48))
        client.post("/api/edits", {"do": "reject", "items": [0, 5]})
        assert len(client.post("/api/lasso", line)[1]) == 4 * 46


class StillRunning:
    """A process that has not ended."""

    def poll(self):
        return None

    def terminate(self):
        pass

    def wait(self):
        pass


def test_suggestions_are_computed_again_only_after_an_edit(picture_run):
    page = Page(picture_run(each=8))
    first = page.suggestions()
    assert page.suggestions() is first and first["version"] == 0
    page.editable.add_edit({"do": "name", "cluster": 0, "name": "x"})
    assert page.suggestions()["version"] == page.editable.state.version > 0


def test_likely_clusters_are_asked_for_by_items_that_exist(client):
    assert json.loads(client.post("/api/likely", {"items": [8]})[1])["within"] == 1
    assert client.post("/api/likely", {"items": [48]})[0].status == 404
    assert client.post("/api/likely", {"items": []})[0].status == 422


def test_exports_are_offered_and_written_on_request(client, tmp_path):
    offered = client.json("/api/exports")
    assert offered["formats"][0]["name"] == "csv" and offered["progress"] == [0, 0]
    written = json.loads(client.post("/api/exports", {"format": "csv"})[1])
    assert written["n_items"] == 48 and written["place"] == str(tmp_path / "run.csv")
    assert client.post("/api/exports", {"format": "nothing"})[0].status == 409


@pytest.mark.parametrize("values,size", [(np.arange(12.0), (512, 512)), (np.zeros((20, 10, 3), np.uint8), (250, 500))])
def test_a_row_of_an_array_is_sent_as_a_picture_enlarged_by_a_whole_factor(values, size):
    assert Image.open(io.BytesIO(array_response(values).body)).size == size


def test_runs_of_an_embedded_set_of_an_array_and_of_a_lost_one_open(tmp_path):
    n = 40
    features = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)

    def page_of(name, source):
        paths = [f"row:{i:06d}" for i in range(n)]
        return Page(write_run(tmp_path / name, source, paths, np.arange(n) % 2, features, nearest(features)))

    data, is_complete = page_of("a", "digits").thumbs.bundle(range(n))
    assert is_complete and data[4 * n : 4 * n + 4] == b"\x89PNG"
    np.save(tmp_path / "x.npy", features)
    assert page_of("b", tmp_path / "x.npy").thumbs.bundle([0, 1])[1]
    (tmp_path / "x.npy").unlink()
    page = page_of("c", tmp_path / "x.npy")
    assert "x.npy" in page.source_error and page.thumbs.bundle([0, 1]) == (bytes(8), False)


# ----------------------------------------------------------------------------------------------------- which files are read

ELSEWHERE = [
    "/static/../server.py",
    "/static/%2e%2e/server.py",
    "/static/..%2fserver.py",
    "/media/../../etc/passwd",
    "/media/%2e%2e/image",
    "/media/0/..%2f..%2fetc",
    "/media/-1/image",
    "/media/999/image",
    "/api/items/99999999999999999999",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_path_leads_nowhere_but_to_items(client, path):
    assert client.status(path) in (404, 422)


def test_a_run_that_names_files_outside_its_source_shows_none_of_them(tmp_path):
    (tmp_path / "items").mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"SECRET")
    (tmp_path / "items" / "link.png").symlink_to(secret)
    (tmp_path / "items" / "folder").symlink_to(tmp_path)
    (tmp_path / "items" / "loop.png").symlink_to(tmp_path / "items" / "loop.png")
    (tmp_path / "items" / "notes.txt").write_text("SECRET")
    names = ["../secret.png", str(secret), "link.png", "folder/secret.png", "loop.png", "notes.txt", "a\0b.png", "/etc/passwd"]
    with served_files(tmp_path, names) as client:
        for row, name in enumerate(names):
            response, data = client.request(f"/media/{row}/image")
            assert response.status == 404 and b"SECRET" not in data and b"root:" not in data, name
        bundle = client.request(f"/api/thumbs/x?rows={','.join(map(str, range(len(names))))}")[1]
        assert bundle == bytes(4 * len(names))
        assert client.json("/api/items/2")["missing"]


def test_a_link_within_the_source_is_followed(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.png").write_bytes(b"inside")
    (tmp_path / "items" / "b.png").symlink_to("a.png")
    with served_files(tmp_path, ["a.png", "b.png"]) as client:
        assert client.request("/media/1/image")[1] == b"inside"


def test_links_out_of_the_source_are_followed_only_where_that_was_asked_for(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "there.png").write_bytes(b"outside")
    (tmp_path / "items" / "a.png").symlink_to(tmp_path / "there.png")
    with served_files(tmp_path, ["a.png", "../there.png"], follow=True) as client:
        assert client.request("/media/0/image")[1] == b"outside" and client.status("/media/1/image") == 404


# -------------------------------------------------------------------------------------------------------- refused edits

UNFIT = [
    {},
    {"do": "explode"},
    {"do": "move", "items": [0], "to": -1},
    {"do": "move", "items": [10**9], "to": 0},
    {"do": "move", "items": [], "to": 0},
    {"do": "merge", "clusters": [0, 77], "into": 0},
    {"do": "split", "cluster": 0, "parts": 10**9},
    {"do": "split", "cluster": "0", "parts": 2},
    {"do": "name", "cluster": 0, "name": "x" * 10_000},
    {"do": "undo"},
    {"do": "redo"},
]


@pytest.mark.parametrize("values", UNFIT)
def test_an_edit_that_does_not_fit_is_refused_with_a_sentence_and_leaves_no_trace(client, values):
    response, data = client.post("/api/edits", values)
    assert response.status == 409 and len(json.loads(data)["error"]) > 10
    assert client.json("/api/version") == {"version": 0}
