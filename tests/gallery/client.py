"""A program that speaks HTTP to the page, with the token or without."""

import http.client
import json
import urllib.parse
from contextlib import contextmanager

import numpy as np

from tests.gallery.conftest import TOKEN, served, write_run


class Client:
    """Requests to one page.

    Args:
        address: of the page, without the token.
        cookie: what is sent as the cookie; None for no cookie.
    """

    def __init__(self, address, cookie=f"selflabel={TOKEN}"):
        self.netloc, self.address, self.cookie = urllib.parse.urlparse(address).netloc, address, cookie

    def request(self, path, method="GET", body=None, **headers):
        """(response, its bytes)."""
        connection = http.client.HTTPConnection(self.netloc, timeout=20)
        all_headers = {"Cookie": self.cookie} if self.cookie else {}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, all_headers)
        response = connection.getresponse()
        return response, response.read()

    def status(self, path, method="GET", body=None, **headers):
        return self.request(path, method, body, **headers)[0].status

    def json(self, path):
        return json.loads(self.request(path)[1])

    def post(self, path, values, **headers):
        headers = {"Origin": self.address, "Content_Type": "application/json", **headers}
        return self.request(path, "POST", json.dumps(values), **headers)


@contextmanager
def served_files(tmp_path, paths, **options):
    """A client of the page of a run over these files below `items`."""
    n = len(paths)
    features = np.eye(max(n, 2), dtype=np.float32)[:n]
    run = write_run(tmp_path / "run", tmp_path / "items", paths, np.zeros(n, int), features, np.zeros((n, 10), int))
    with served(run, **options) as address:
        yield Client(address)
