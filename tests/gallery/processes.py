"""The page of a run in a process of its own, which a test can kill and start again at the same address."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

SERVE = """
import sys
from pathlib import Path
from selflabel.gallery.server import Page, make_app
from selflabel.gallery.serving import make_server, open_listener
from selflabel.runs.run import Run
folder, port, token = sys.argv[1:]
with open_listener(int(port)) as listener:
    assert listener.getsockname()[1] == int(port)
    make_server(make_app(Page(Run.open(Path(folder))), token, f"selflabel-{port}")).run(sockets=[listener])
"""


class ServerProcess:
    """A server that keeps its port and, unless another is given, its token."""

    def __init__(self, run, token="a-token-for-tests"):
        self.run, self.token, self.port = run, token, free_port()
        self.process = None

    @property
    def home(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self):
        return f"{self.home}/?token={self.token}"

    def start(self, token=None):
        self.token = token or self.token
        command = [sys.executable, "-c", SERVE, str(self.run.folder), str(self.port), self.token]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.home}/api/version?token={self.token}", timeout=20).close()
                return
            except urllib.error.URLError:
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
