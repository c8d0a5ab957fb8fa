"""A model hub on this machine: a small server of files that a test saved, and an address that never answers."""

import contextlib
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huggingface_hub import constants

from selflabel.encoders import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """/OWNER/NAME/resolve/REVISION/FILE from the folder OWNER/NAME of the server."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        self.server.requests.append(self.path)
        owner, name, *rest = self.path.lstrip("/").split("/")
        file = self.server.folder / owner / name / "/".join(rest[2:] or ["nothing"])
        data = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if file.is_file() else 404)
        if not file.is_file():
            self.send_header("X-Error-Code", "EntryNotFound" if file.parent.is_dir() else "RepoNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def asking(monkeypatch, address, cache):
    """The hub's library asks this address and keeps files in a cache of the test's own."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    hub._silent.clear()
    yield
    hub._silent.clear()


@contextlib.contextmanager
def serving(folder):
    """A hub of the files below a folder. Yields the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.folder, server.requests = True, folder, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def served(monkeypatch, folder, cache):
    """The files below a folder, as repositories of a hub. Yields the list of paths that are asked for."""
    with serving(folder) as server, asking(monkeypatch, f"http://127.0.0.1:{server.server_port}", cache):
        yield server.requests


@contextlib.contextmanager
def served_to_processes(monkeypatch, folder, cache):
    """The same for programs that this process starts."""
    with serving(folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_HUB_CACHE", str(cache))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        yield server.requests


@contextlib.contextmanager
def silent(monkeypatch, cache):
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with asking(monkeypatch, f"http://127.0.0.1:{listener.getsockname()[1]}", cache):
            yield
