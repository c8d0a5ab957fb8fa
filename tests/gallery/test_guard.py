"""Who is let in and what is let out, over HTTP as any program on the machine can speak it."""

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.parse
from contextlib import contextmanager

import numpy as np
import pytest

from tests.gallery.conftest import TOKEN, served, write_run


class Speaker:
    """A program that speaks HTTP to the page, with the token or without."""

    def __init__(self, address, cookie=f"selflabel={TOKEN}"):
        self.netloc, self.address, self.cookie = urllib.parse.urlparse(address).netloc, address, cookie

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.netloc, timeout=20)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer, answer.read()

    def status(self, path, method="GET", body=None, **headers):
        return self.ask(path, method, body, **headers)[0].status

    def post(self, path, values, **headers):
        return self.ask(path, "POST", json.dumps(values), Content_Type="application/json", **{"Origin": self.address, **headers})


@pytest.fixture
def speaker(picture_run):
    with served(picture_run(each=8)) as address:
        yield Speaker(address)


def test_nothing_is_answered_without_the_token(speaker):
    stranger = Speaker(speaker.address, cookie=None)
    for path in ("/", "/api/overview", "/api/items/0", "/media/0/image", "/static/main.js", "/docs", "/openapi.json", "/nothing"):
        assert stranger.status(path) == 403, path
    for guess in ("", "x", TOKEN[:-1], TOKEN + "x", "é"):
        assert Speaker(speaker.address, f"selflabel={urllib.parse.quote(guess)}").status("/api/overview") == 403
        assert stranger.status(f"/?token={urllib.parse.quote(guess)}") == 403
    assert speaker.status("/api/overview") == 200


def test_the_token_moves_from_the_address_to_a_cookie_that_scripts_and_sites_cannot_read(speaker):
    answer, _ = Speaker(speaker.address, cookie=None).ask(f"/?token={TOKEN}")
    cookie = answer.getheader("set-cookie")
    assert answer.status == 303 and answer.getheader("location") == "/"
    assert TOKEN in cookie and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost.evil.example:8765", ""])
def test_another_name_for_this_machine_is_refused(speaker, host):
    assert speaker.status("/api/overview", Host=host) == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:9999"])
def test_its_own_names_are_answered_through_any_tunnel(speaker, host):
    assert speaker.status("/api/overview", Host=host) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "null", "http://127.0.0.1:1"])
def test_another_site_in_the_same_browser_is_refused(speaker, origin):
    edit = {"do": "name", "cluster": 0, "name": "x"}
    assert speaker.status("/api/overview", Origin=origin) == 403
    assert speaker.post("/api/edits", edit, Origin=origin)[0].status == 403
    assert speaker.post("/api/edits", edit)[0].status == 200


def test_a_change_without_an_origin_or_as_a_form_is_refused(speaker):
    edit = json.dumps({"do": "name", "cluster": 0, "name": "x"})
    assert speaker.status("/api/edits", "POST", edit, Content_Type="application/json") == 403
    assert speaker.status("/api/edits", "POST", edit, Content_Type="text/plain", Origin=speaker.address) == 422
    assert speaker.status("/api/overview", "PUT", Origin=speaker.address) == 405


def test_every_answer_confines_what_a_browser_may_do(speaker):
    for path in ("/", "/static/main.js", "/api/overview", "/media/0/image"):
        headers = speaker.ask(path)[0].headers
        assert headers["content-security-policy"].startswith("default-src 'self';"), path
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_the_shell_names_no_other_host_and_runs_no_inline_script(speaker):
    text = speaker.ask("/")[1].decode()
    assert not re.search(r"(src|href)=.(https?:)?//", text) and not re.search(r"<script[^>]*>[^<]", text) and "style=" not in text


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
def test_a_path_leads_nowhere_but_to_items(speaker, path):
    assert speaker.status(path) in (404, 422)


@contextmanager
def run_of(tmp_path, paths, **options):
    """A page over files of these names below `items`."""
    n = len(paths)
    features = np.eye(max(n, 2), dtype=np.float32)[:n]
    run = write_run(tmp_path / "run", tmp_path / "items", paths, np.zeros(n, int), features, np.zeros((n, 10), int))
    with served(run, **options) as address:
        yield Speaker(address)


def test_a_run_that_names_files_outside_its_source_shows_none_of_them(tmp_path):
    (tmp_path / "items").mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"SECRET")
    (tmp_path / "items" / "link.png").symlink_to(secret)
    (tmp_path / "items" / "folder").symlink_to(tmp_path)
    (tmp_path / "items" / "loop.png").symlink_to(tmp_path / "items" / "loop.png")
    (tmp_path / "items" / "notes.txt").write_text("SECRET")
    names = ["../secret.png", str(secret), "link.png", "folder/secret.png", "loop.png", "notes.txt", "a\0b.png", "/etc/passwd"]
    with run_of(tmp_path, names) as speaker:
        for row, name in enumerate(names):
            answer, data = speaker.ask(f"/media/{row}/image")
            assert answer.status == 404 and b"SECRET" not in data and b"root:" not in data, name
        bundle = speaker.ask(f"/api/thumbs/x?rows={','.join(map(str, range(len(names))))}")[1]
        assert bundle == bytes(4 * len(names))
        assert json.loads(speaker.ask("/api/items/2")[1])["missing"]


def test_a_link_within_the_source_is_followed(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.png").write_bytes(b"inside")
    (tmp_path / "items" / "b.png").symlink_to("a.png")
    with run_of(tmp_path, ["a.png", "b.png"]) as speaker:
        assert speaker.ask("/media/1/image")[1] == b"inside"


def test_links_out_of_the_source_are_followed_only_where_that_was_asked_for(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "there.png").write_bytes(b"outside")
    (tmp_path / "items" / "a.png").symlink_to(tmp_path / "there.png")
    with run_of(tmp_path, ["a.png", "../there.png"], follow=True) as speaker:
        assert speaker.ask("/media/0/image")[1] == b"outside" and speaker.status("/media/1/image") == 404


def test_a_page_disguised_as_a_picture_is_sent_as_a_picture(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "evil.html.jpg").write_bytes(b"<script>alert(1)</script>")
    with run_of(tmp_path, ["evil.html.jpg"]) as speaker:
        headers = speaker.ask("/media/0/image")[0].headers
        assert headers["content-type"] == "image/jpeg" and headers["x-content-type-options"] == "nosniff"


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
def test_an_edit_that_does_not_fit_is_refused_with_a_sentence_and_leaves_no_trace(speaker, values):
    answer, data = speaker.post("/api/edits", values)
    assert answer.status == 409 and len(json.loads(data)["error"]) > 10
    assert json.loads(speaker.ask("/api/version")[1]) == {"version": 0}


def test_ranges_of_a_film_are_those_asked_for(tmp_path):
    data = bytes(range(256)) * 40
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.mp4").write_bytes(data)
    with run_of(tmp_path, ["a.mp4"]) as speaker:
        for wanted, part in [
            ("bytes=10-19", data[10:20]),
            ("bytes=10000-", data[10000:]),
            ("bytes=-5", data[-5:]),
            ("bytes=0-99999999", data),
        ]:
            answer, found = speaker.ask("/media/0/video", Range=wanted)
            assert answer.status == 206 and found == part, wanted
            assert answer.headers["content-range"].endswith(f"/{len(data)}") and answer.headers["content-type"] == "video/mp4"
        for bad in ("bytes=99999-", "bytes=5-2", "bytes=-", "lines=1-2"):
            assert speaker.status("/media/0/video", Range=bad) == 416
        assert speaker.ask("/media/0/video")[1] == data


def test_browse_prints_its_address_on_a_free_port_of_this_machine_alone(picture_run, tmp_path):
    run = picture_run(each=8)
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(run.folder), "--no-open", "--port", "8931"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        found = [re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{32})\n", p.stdout.readline()) for p in processes]
        assert all(found)
        (port, token), (other_port, other_token) = (match.groups() for match in found)
        assert port != other_port and token != other_token
        speaker = Speaker(f"http://127.0.0.1:{port}", f"selflabel-{port}={token}")
        assert speaker.status("/api/overview") == 200
        assert Speaker(speaker.address, f"selflabel-{port}={other_token}").status("/api/overview") == 403
    finally:
        for process in processes:
            process.send_signal(2)
    for process in processes:
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in said


def test_browse_never_imports_torch(picture_run):
    code = f"""
import sys
from pathlib import Path
from selflabel.gallery.server import Page, make_app
from selflabel.gallery.summary import overview
from selflabel.gallery import serving, projection
from selflabel.runs.run import Run
page = Page(Run.open({str(picture_run(each=8).folder)!r}))
make_app(page, "t"), overview(page.album, page.album.state), page.thumbs.bundle([0, 1]), page.hints(), page.taking.formats()
assert "torch" not in sys.modules, "torch was imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_browse_refuses_what_is_no_run(here, tmp_path, picture_run):
    for words in (["browse", tmp_path], ["browse", tmp_path / "gone"]):
        done = here(*words)
        assert done.returncode == 2 and "holds no run" in done.stderr
    run = picture_run(each=8)
    (run.folder / "top.parquet").unlink()
    done = here("browse", run.folder)
    assert done.returncode == 2 and "top.parquet" in done.stderr and len(done.stderr.splitlines()) == 1
