"""Access control: only this machine's own page is answered, and browsers get rules that confine what it shows."""

import json
import re
import urllib.parse

import pytest

from tests.gallery.client import Client
from tests.gallery.conftest import TOKEN


def test_nothing_is_answered_without_the_token(client):
    stranger = Client(client.address, cookie=None)
    for path in ("/", "/api/overview", "/api/items/0", "/media/0/image", "/static/main.js", "/docs", "/openapi.json", "/nothing"):
        assert stranger.status(path) == 403, path
    for guess in ("", "x", TOKEN[:-1], TOKEN + "x", "é"):
        assert Client(client.address, f"selflabel={urllib.parse.quote(guess)}").status("/api/overview") == 403
        assert stranger.status(f"/?token={urllib.parse.quote(guess)}") == 403
    assert client.status("/api/overview") == 200


def test_the_token_moves_from_the_address_to_a_cookie_that_scripts_and_sites_cannot_read(client):
    response, _ = Client(client.address, cookie=None).request(f"/?token={TOKEN}")
    cookie = response.getheader("set-cookie")
    assert response.status == 303 and response.getheader("location") == "/"
    assert TOKEN in cookie and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost.evil.example:8765", ""])
def test_another_name_for_this_machine_is_refused(client, host):
    assert client.status("/api/overview", Host=host) == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:9999"])
def test_its_own_names_are_answered_through_any_tunnel(client, host):
    assert client.status("/api/overview", Host=host) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "null", "http://127.0.0.1:1"])
def test_another_site_in_the_same_browser_is_refused(client, origin):
    edit = {"do": "name", "cluster": 0, "name": "x"}
    assert client.status("/api/overview", Origin=origin) == 403
    assert client.post("/api/edits", edit, Origin=origin)[0].status == 403
    assert client.post("/api/edits", edit)[0].status == 200


def test_a_change_without_an_origin_or_as_a_form_is_refused(client):
    edit = json.dumps({"do": "name", "cluster": 0, "name": "x"})
    assert client.status("/api/edits", "POST", edit, Content_Type="application/json") == 403
    assert client.status("/api/edits", "POST", edit, Content_Type="text/plain", Origin=client.address) == 422
    assert client.status("/api/overview", "PUT", Origin=client.address) == 405


def test_every_answer_confines_what_a_browser_may_do(client):
    for path in ("/", "/static/main.js", "/api/overview", "/media/0/image"):
        headers = client.request(path)[0].headers
        assert headers["content-security-policy"].startswith("default-src 'self';"), path
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_the_shell_names_no_other_host_and_runs_no_inline_script(client):
    text = client.request("/")[1].decode()
    assert not re.search(r"(src|href)=.(https?:)?//", text) and not re.search(r"<script[^>]*>[^<]", text) and "style=" not in text
