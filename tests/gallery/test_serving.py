"""`selflabel browse`: its address, its port, its end, and what it refuses."""

import os
import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from selflabel.gallery.serving import HOST, PORTS_TO_TRY, has_display, open_listener
from tests.gallery.client import Client


@pytest.mark.slow
def test_browse_prints_its_address_on_a_free_port_of_this_machine_only(picture_run):
    run = picture_run(each=8)
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(run.folder), "--no-open", "--port", "8931"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        lines = [process.stdout.readline() for process in processes]
        matches = [re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{32})\n", line) for line in lines]
        assert all(matches), lines
        (port, token), (other_port, other_token) = (match.groups() for match in matches)
        assert port != other_port and token != other_token
        client = Client(f"http://127.0.0.1:{port}", f"selflabel-{port}={token}")
        assert client.status("/api/overview") == 200
        assert Client(client.address, f"selflabel-{port}={other_token}").status("/api/overview") == 403
    finally:
        for process in processes:
            process.send_signal(2)
    for process in processes:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in errors


@pytest.mark.slow
def test_browse_says_when_the_pictures_cannot_be_shown(picture_run, tmp_path):
    run = picture_run(each=8)
    (tmp_path / "items").rename(tmp_path / "elsewhere")
    command = [sys.executable, "-m", "selflabel.cli", "browse", str(run.folder), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=60) as page:  # so that the server is up when Ctrl-C comes
        assert page.status == 200
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert "own files cannot be shown" in errors and "--source" in errors


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from selflabel.gallery import serving
from selflabel.runs.run import Run
serving.print = lambda *words, **options: os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C as soon as the address would be seen
serving.browse(Run.open(Path(sys.argv[1])), 0, open_browser=False)
"""


@pytest.mark.slow
def test_ctrl_c_at_the_very_start_ends_the_page_without_a_word(picture_run):
    command = [sys.executable, "-W", "always", "-c", INTERRUPTED, str(picture_run(each=8).folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "never awaited" not in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_the_next_free_port_is_taken():
    with open_listener(0) as first:
        port = first.getsockname()[1]
        with open_listener(port) as second:
            assert second.getsockname()[0] == HOST and second.getsockname()[1] != port


def test_small_responses_are_sent_at_once():
    with open_listener(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # only then does asyncio set TCP_NODELAY on its connections


def test_where_no_port_near_by_is_free_any_other_is_taken(monkeypatch):
    taken = set(range(9000, 9000 + PORTS_TO_TRY))
    bind = socket.socket.bind

    def bind_unless_taken(self, address):
        if address[1] in taken:
            raise OSError
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind_unless_taken)
    with open_listener(9000) as listener:
        assert listener.getsockname()[1] not in taken


@pytest.mark.parametrize(
    "platform,display,expected", [("linux", "", False), ("linux", ":0", True), ("darwin", "", True), ("win32", "", True)]
)
def test_a_browser_is_opened_only_where_there_is_a_display(monkeypatch, platform, display, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert has_display() is expected


def test_browse_never_imports_torch(picture_run):
    code = f"""
import sys
import urllib.request
from pathlib import Path
from selflabel.gallery.server import Page, make_app
from selflabel.gallery.summary import overview
from selflabel.gallery import serving, projection
from selflabel.runs.run import Run
page = Page(Run.open({str(picture_run(each=8).folder)!r}))
make_app(page, "t"), overview(page.editable, page.editable.state), page.thumbs.bundle([0, 1]), page.suggestions()
page.export_job.formats()
assert "torch" not in sys.modules, "torch was imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_browse_refuses_a_folder_that_holds_no_whole_run(here, tmp_path, picture_run):
    for words in (["browse", tmp_path], ["browse", tmp_path / "gone"]):
        done = here(*words)
        assert done.returncode == 2 and "holds no run" in done.stderr
    run = picture_run(each=8)
    (run.folder / "top.parquet").unlink()
    done = here("browse", run.folder)
    assert done.returncode == 2 and "top.parquet" in done.stderr and len(done.stderr.splitlines()) == 1
