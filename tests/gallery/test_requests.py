"""Requests that no browser would send: each is answered with a status below 500 and a sentence, in bounded time."""

import asyncio
import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.gallery import patience
from selflabel.gallery.bodies import MIN_LIMIT, BadRequest, body_limit, parse_json
from selflabel.gallery.server import Page, make_app
from selflabel.gallery.serving import make_server, open_listener
from tests.gallery.client import Client
from tests.gallery.conftest import TOKEN, served_page

LONG = "9" * 5000
NUMBERS = [
    "0",
    "1",
    "-1",
    "47",
    "48",
    "1e3",
    "1e999",
    "-1e999",
    "NaN",
    "nan",
    "inf",
    "Infinity",
    LONG,
    "true",
    "null",
    "1.5",
    "٣",
]
NUMBERS += ["", " 1", "1_0", "0x1", str(2**63), str(2**31), "💥", "%00", "..", "1,2", "1;2", "[]"]
DEEP = "[" * 100_000
VALUES = [*NUMBERS[:11], LONG, "true", "false", "null", "1.5", '"1"', '""', '"\\ud800"', '"a\\u0000b"', "[]", "{}", "[[]]", "[1]"]
VALUES += ["[true]", "[1e999]", "[NaN]", f"[{LONG}]", "[-1]", "[0, 1]", "[[0,0],[1,1],[0,1]]", "[[1e999,0],[0,0],[1,1]]", DEEP]
VALUES += ["[[true,0],[0,0],[1,1]]", "[[1e308,0],[0,1e308],[-1e308,0]]", '"csv"', '"nothing"', '"' + "x" * 300 + '"', '"🙂"']
FIELDS = ["do", "id", "at", "cluster", "clusters", "into", "items", "to", "name", "parts", "centres", "format", "x"]
KINDS = ['"name"', '"merge"', '"split"', '"move"', '"reject"', '"restore"', '"undo"', '"redo"', '"explode"']
POSTS = ["/api/edits", "/api/likely", "/api/lasso", "/api/exports"]
GETS = ["/api/rows/{}", "/api/rows/all?order={}", "/api/rows/search?q={}", "/api/rows/0?labels={}", "/api/items/{}", "/{}"]
GETS += ["/api/rows/0?by={}", "/api/pieces?rows={}", "/api/items/{}/file", "/api/items/{}/sound", "/media/{}/mask"]
GETS += ["/api/thumbs/x?rows={}", "/media/{}/image", "/media/0/{}", "/api/map?left={}", "/api/map?left=0&right={}", "/static/{}"]
TYPES = ["application/json", "application/json; charset=latin-1", "text/plain", "multipart/form-data", "", "application/xml"]


async def ask(app, method, path, query=b"", body=(), headers=()):
    """Send one request to an ASGI application; its status and body. body: the pieces in which it comes."""
    pieces, sent = list(body) or [b""], []
    fixed = {b"host": b"127.0.0.1", b"origin": b"http://127.0.0.1", b"cookie": f"selflabel={TOKEN}".encode()}
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
    scope |= {"path": path, "raw_path": path.encode("utf-8", "replace"), "query_string": query, "root_path": ""}
    scope |= {"headers": [*fixed.items(), *headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}

    async def receive():
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def complete(coroutine):
    """Its result. In a thread of its own, because playwright keeps an event loop in that of the tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@pytest.fixture
def page(picture_run):
    """A page of 48 images whose map is there."""
    run = picture_run(each=8)
    np.save(run.folder / "map.npy", np.random.default_rng(0).random((48, 2), np.float32))
    page = Page(run)
    page.export_job.write = lambda name: {"place": "x"} if name == "csv" else refuse()  # thousands of exports would take minutes
    return page


def refuse():
    raise UserError("there is no such format.")


def random_get(rng):
    path, _, query = rng.choice(GETS).format(rng.choice(NUMBERS)).partition("?")
    name, _, value = query.partition("=")
    headers = [(b"range", rng.choice([b"bytes=0-", b"bytes=" + LONG.encode() + b"-", b"bytes=-1", b"x", b"bytes=9-1"]))]
    return "GET", path, f"{name}={quote(value)}".encode() if query else b"", (), headers


def random_post(rng):
    fields = {rng.choice(FIELDS): rng.choice(VALUES) for _ in range(rng.randrange(5))} | {"do": rng.choice(KINDS)}
    whole = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    data = rng.choice([whole, whole, whole, rng.choice(VALUES), f'{{"items": {rng.choice(VALUES)}}}']).encode("utf-8", "replace")
    data = rng.choice([data] * 12 + [data[: len(data) // 2], data + b"\xff", b"", data.decode().encode("utf-16")])
    kind = rng.choice([TYPES[0]] * 8 + TYPES).encode()
    return rng.choice(["POST"] * 9 + ["PUT", "DELETE"]), rng.choice(POSTS), b"", [data], [(b"content-type", kind)]


def test_no_request_is_answered_with_an_error_of_the_server(page, capsys):
    rng, app, statuses = random.Random(0), make_app(page, TOKEN), set()

    async def ask_all():
        for _ in range(1500):
            method, path, query, body, headers = request = rng.choice([random_get, random_post])(rng)
            status, data = await ask(app, method, path, query, body, headers)
            assert status < 500, (request, data)
            if status >= 400 and path != "/static/..":
                assert len(data) < 700, (request, data)
                assert status in (403, 416) or b"\0" in path.encode() or json.loads(data)["error"], request
            statuses.add(status)

    complete(ask_all())
    assert {200, 400, 404, 409, 422} <= statuses
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "values, words",
    [
        ('{"do": "name", "cluster": true, "name": "x"}', "cluster"),
        ('{"do": "split", "cluster": true, "parts": 2}', "cluster"),
        ('{"do": "split", "cluster": 0, "parts": true}', "parts"),
        ('{"do": "move", "items": [true], "to": 0}', "items"),
        ('{"do": "move", "items": [0], "to": 1000}', "no cluster 1000"),
        ('{"do": "move", "items": [0], "to": 1e999}', "not finite"),
        ('{"do": "move", "items": [0], "to": NaN}', "not finite"),
        (f'{{"do": "move", "items": [{LONG}], "to": 0}}', "too long"),
        (f'{{"do": "name", "cluster": 0, "name": {DEEP}', "deep"),
        ('{"do": "name", "cluster": 0, "name": "\\ud800"}', "unicode"),
        ('{"do": "undo", "id": "x"}', "id"),
        ('{"do": "undo", "at": "now"}', "at"),
        ("[]", "not an edit"),
        ("", "empty"),
        ("{", "no JSON"),
    ],
)
def test_what_is_no_edit_is_refused_in_a_sentence_that_says_why(client, values, words):
    response, data = client.request("/api/edits", "POST", values, Origin=client.address, Content_Type="application/json")
    sentence = json.loads(data)["error"]
    assert 400 <= response.status < 500 and words in sentence and len(sentence) < 300 and "Traceback" not in sentence
    assert client.json("/api/version") == {"version": 0}


@pytest.mark.parametrize("name", [True, 1, None, [], {"a": 1}, "nothing", "x" * 10_000, "\ud800", "../csv"])
def test_a_format_that_there_is_not_is_refused(client, name, tmp_path):
    response, data = client.post("/api/exports", {"format": name})
    assert response.status == 409 and "there is no such format" in json.loads(data)["error"] and len(data) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items", "run"]


def test_true_is_no_number_and_rows_of_no_item_are_not_there(client):
    assert client.post("/api/likely", {"items": [True]})[0].status == 422
    assert client.post("/api/likely", {"items": ["8"]})[0].status == 422
    assert client.post("/api/likely", {"items": [8], "x": 1})[0].status == 422
    assert client.post("/api/likely", {"items": [10**300]})[0].status == 404


def test_the_program_says_when_it_is_at_fault_itself_in_one_line_and_answers(page, capsys):
    page.editable.neighbours = None
    status, data = complete(ask(make_app(page, TOKEN), "GET", "/api/items/3"))
    assert status == 500 and json.loads(data)["error"].startswith("The page could not do this")
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "/api/items/3" in line and "AttributeError" in line and "typical.py" in line


# --------------------------------------------------------------------------------------------------------- length and time


def test_a_body_that_is_too_long_is_refused_with_a_length_and_without(page):
    pieces, headers = [b" " * 65_536] * 200, [(b"content-type", b"application/json")]
    for more in ([], [(b"content-length", b"13107200")]):
        status, data = complete(ask(make_app(page, TOKEN), "POST", "/api/edits", b"", pieces, headers + more))
        assert status == 413 and "8 MB" in json.loads(data)["error"]
    with served_page(page) as address:
        client = Client(address)
        long_name = {"do": "name", "cluster": 0, "name": "x" * (MIN_LIMIT + 1)}
        assert client.post("/api/edits", long_name)[0].status == 413
        assert client.status("/api/version") == 200


def test_all_items_of_a_large_run_can_be_selected_at_once():
    assert body_limit(1_000) == MIN_LIMIT and body_limit(2_000_000) > len(json.dumps(list(range(2_000_000))))


def test_json_is_read_as_it_is_written_and_nothing_else_is():
    assert parse_json('{"a": [1, 2.5, "é", true, null]}'.encode()) == {"a": [1, 2.5, "é", True, None]}
    for text in (b"", b"{", b"\xff", b"nan", b"NaN", b"-Infinity", b"1e400", LONG.encode(), DEEP.encode(), b"\xef\xbb\xbf{}"):
        with pytest.raises(BadRequest):
            parse_json(text)


@pytest.fixture
def impatient(page, monkeypatch):
    """The address of the page on a server as `browse` starts it, which waits for a second instead of ten."""
    monkeypatch.setattr(patience, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 1.0)
    with open_listener(0) as listener:
        server = make_server(make_app(page, TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize(
    "start, answer",
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", b"403"),
        (b"POST /api/edits HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", b"403"),
    ],
)
def test_a_connection_on_which_half_a_request_comes_is_closed(impatient, start, answer):
    with socket.create_connection(impatient, timeout=20) as connection:
        began = time.monotonic()
        connection.sendall(start)
        data = b""
        while piece := connection.recv(4096):
            data += piece
        assert answer in data and time.monotonic() - began < 15


def test_a_slow_client_does_not_keep_others_out(impatient):
    slow = [socket.create_connection(impatient, timeout=20) for _ in range(60)]
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
    client = Client(f"http://{impatient[0]}:{impatient[1]}")
    for _ in range(3):
        assert client.status("/api/version") == 200
        for connection in slow:
            connection.sendall(b"s")
    for connection in slow:
        assert b"408" in connection.recv(4096)
        connection.close()
