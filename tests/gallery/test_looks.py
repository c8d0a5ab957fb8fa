"""The style sheet keeps its promises: contrast in both themes, no outside help, calm for those who ask for it."""

import re
from itertools import product
from pathlib import Path

import pytest

import selflabel.gallery

STATIC = Path(selflabel.gallery.__file__).parent / "static"
STYLE = (STATIC / "style.css").read_text()
COLOURS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLE)}
THEMES = {"light": 0, "dark": 1}
TEXT_ON = [
    *product(("ink", "muted"), ("ground", "surface", "soft")),
    *product(("accent",), ("ground", "surface", "soft")),
    ("muted", "tile"),
    ("on-accent", "accent"),
    ("on-accent", "bad"),
    ("bad", "surface"),
    ("ground", "ink"),
]
SHAPES_ON = [*product(("edge", "accent"), ("ground", "surface")), ("accent", "tile")]
MADE_OF_HTML = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import"
OUTLINE = "(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]; })()"


def luminance(colour):
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme,pair", product(THEMES, TEXT_ON))
def test_text_is_told_from_its_ground(theme, pair):
    a, b = (COLOURS[name][THEMES[theme]] for name in pair)
    assert contrast(a, b) >= 4.5, f"{pair[0]} on {pair[1]}: {contrast(a, b):.2f}"


@pytest.mark.parametrize("theme,pair", product(THEMES, SHAPES_ON))
def test_edges_and_focus_rings_are_told_from_their_ground(theme, pair):
    a, b = (COLOURS[name][THEMES[theme]] for name in pair)
    assert contrast(a, b) >= 3, f"{pair[0]} on {pair[1]}: {contrast(a, b):.2f}"


def test_every_colour_of_text_comes_from_the_list():
    rest = STYLE.split("}", 1)[1]
    stray = [
        line.strip() for line in rest.splitlines() if re.search(r"#[0-9a-f]{3,8}\b", line) and not line.strip().startswith("#")
    ]
    assert not stray


def test_nothing_is_taken_from_outside_and_nothing_is_made_of_html():
    for file in STATIC.iterdir():
        text = file.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
        assert not re.search(MADE_OF_HTML, text), file.name


def test_movement_is_only_for_those_who_did_not_ask_for_less():
    moving = [m.start() for m in re.finditer(r"\b(transition|animation):", STYLE)]
    calm = STYLE.index("@media (prefers-reduced-motion: no-preference)")
    assert moving and all(at > calm for at in moving)
    script = "".join(file.read_text() for file in STATIC.glob("*.js"))
    assert 'behavior: "smooth"' not in script


def test_both_themes_are_really_shown(visit, picture_run):
    run = picture_run(each=8)
    backgrounds = {}
    for scheme in ("light", "dark"):
        page = visit(run, scheme=scheme)
        backgrounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        page.click("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 25)"
    assert backgrounds["light"] == "rgb(246, 246, 244)" and backgrounds["dark"] == "rgb(19, 21, 25)"


def test_the_focus_is_always_to_be_seen(visit, picture_run):
    page = visit(picture_run(each=8))
    for _ in range(14):
        page.keyboard.press("Tab")
        style = page.evaluate(OUTLINE)
        assert style[0] != "none" and style[1] >= 2, page.evaluate("document.activeElement.outerHTML")
