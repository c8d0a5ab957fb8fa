"""html: pages that open from disk in a real browser, and are safe to open whatever the items and clusters are called."""

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.edits import Name, append
from selflabel.exports import export, html
from selflabel.runs.thumbs import Thumbs
from tests.exports.conftest import EDITED, KEPT, NAMES


class Read(HTMLParser):
    """What a page holds: its tags with their attributes, and its text."""

    def __init__(self, file):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(Path(file).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []

    def all(self, tag, attribute):
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def test_every_item_is_on_its_clusters_page_once_the_most_typical_first(edited, tmp_path):
    out = export(edited, "html", tmp_path / "out").place
    table, rows_of_pages = edited.labels, []
    for cluster, name in NAMES.items():
        page = Read(out / "clusters" / f"{cluster:03d}.html")
        shown = page.all("figure", "title")
        rows = [table["path"].to_pylist().index(path) for path in shown]
        assert {EDITED[row] for row in rows} == {cluster} and name in page.texts
        rows_of_pages += rows
        assert [Path(path).name for path in shown] == [t for t in page.texts if Path(t).suffix in (".png", ".jpg")]
    assert sorted(rows_of_pages) == KEPT.tolist()
    cards = Read(out / "index.html")
    assert [name in cards.texts for name in NAMES.values()] == [True] * 3
    assert "38 items in 3 clusters, 2 rejected" in " ".join(cards.texts)


def test_typical_items_have_high_confidence_and_neighbours_that_agree(photos, tmp_path):
    out = export(photos, "html", tmp_path / "out").place
    texts = Read(out / "clusters" / "001.html").texts
    shares = [int(t.removesuffix(" %")) for t in texts if t.endswith(" %")][1:]
    assert len(shares) == 10 and sum(shares[:5]) > sum(shares[5:])


def test_every_link_and_picture_is_there_and_nothing_comes_from_elsewhere(edited, tmp_path):
    out = export(edited, "html", tmp_path / "out").place
    pages = [out / "index.html", *sorted((out / "clusters").iterdir())]
    pictures = set()
    for file in pages:
        page = Read(file)
        assert not {"script", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        for url in page.all("a", "href") + page.all("img", "src") + page.all("link", "href"):
            assert urlsplit(url).scheme in ("", "data") and not url.startswith(("/", "//"))
            if urlsplit(url).path and urlsplit(url).scheme == "":
                assert (file.parent / unquote(urlsplit(url).path)).is_file(), url
        pictures |= {(file.parent / src).resolve() for src in page.all("img", "src")}
    assert pictures == set((out / "pictures").resolve().iterdir()) and len(pictures) == len(KEPT)
    assert max(max(Image.open(p).size) for p in pictures) <= 128
    style = (out / "style.css").read_text(encoding="utf-8")
    assert "url(" not in style and "@import" not in style


def test_a_cluster_shows_no_more_than_its_thousand(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "MAX_ITEMS", 3)
    page = Read(export(photos, "html", tmp_path / "out").place / "clusters" / "002.html")
    assert len(page.all("figure", "title")) == 3 and "3 of them are shown" in " ".join(page.texts)


def test_truth_is_shown_where_it_is_known(photos, tmp_path):
    (photos.folder / "truth.csv").write_text(
        "path,label\n"
        + "".join(f'"{p}",{"<cat>" if i % 8 < 4 else "dog"}\n' for i, p in enumerate(photos.labels["path"].to_pylist()))
    )
    assert "<cat> (50 %)" in Read(export(photos, "html", tmp_path / "out").place / "index.html").texts


def test_pictures_that_are_gone_leave_their_place_and_those_the_page_made_are_used(photos, tmp_path):
    paths = photos.labels["path"].to_pylist()
    thumbs = Thumbs(photos.folder / "thumbs", html_source(photos), 40)
    kept = thumbs.one(7)
    for row in (7, 8):
        (tmp_path / "photos" / paths[row]).unlink()
    out = export(photos, "html", tmp_path / "out").place
    assert json.loads((out / "export.json").read_text(encoding="utf-8"))["n_without_picture"] == 1
    assert any(p.read_bytes() == kept for p in (out / "pictures").glob("000007.*"))
    page = Read(out / "clusters" / "000.html")
    assert [a["aria-label"] for t, a in page.tags if t == "span" and "aria-label" in a] == [
        f"{Path(paths[8]).name}, cannot be shown"
    ]


def html_source(run):
    return run.source().source


def test_a_page_on_which_nothing_could_be_seen_is_refused(photos, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"none of its items can be shown.*--source"):
        export(photos, "html", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["films", "sounds", "features", "arrays"])
def test_films_sounds_features_and_arrays_are_shown(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    out = export(run, "html", tmp_path / "out").place
    assert len(list((out / "pictures").iterdir())) == run.raw_labels.num_rows


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_it_from_disk(edited, tmp_path, chromium, width, scheme):
    append(edited.folder, Name(cluster=3, name="<img src=x onerror=document.title='hacked'>"))
    out, wrong = export(edited, "html", tmp_path / "a b#c" / "öut").place, []
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto((out / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for _ in range(100):  # pictures come when they are wanted
        loaded = page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        if loaded:
            break
        page.wait_for_timeout(50)
    assert loaded
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    for _ in range(4):
        page.keyboard.press("Tab")  # past the skip link, to the third card
    page.keyboard.press("Enter")
    page.wait_for_selector(".wallpaper")
    assert page.url.endswith("clusters/003.html") and "onerror" in page.inner_text("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title().startswith("<img src=x") and not wrong
    page.click("text=Previous")
    page.wait_for_function("name => document.querySelector('h1')?.innerText === name", arg=NAMES[1])
    page.click("text=All clusters")
    page.wait_for_function("document.querySelectorAll('.card').length === 3")
    context.close()
