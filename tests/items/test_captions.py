import pytest

from selflabel.items import open_items
from selflabel.items.captions import Sentence, caption_files, parse_captions, read_captions

VTT = """WEBVTT - made by hand
Kind: captions

STYLE
::cue { color: lime }

NOTE nobody says
this

first
00:01.000 --> 00:02.500 align:start position:0%
<v Ann>Two &amp; a <00:01.500><c>half</c>
goals

01:00:00.000 --> 01:00:01.000

00:02.000 --> 00:04.000
so  late
"""
SRT = "1\r\n00:00:01,5 --> 00:00:03,000 X1:1\r\n{\\an8}<i>Two</i> goals\r\n\r\n\r\n2\r\n0:00:02,000 --> 0:00:02,000\r\n- Yes.\r\n"


def test_both_formats_give_sentences_with_times_and_without_marks():
    assert parse_captions(VTT, is_vtt=True) == [Sentence(1.0, 2.5, "Two & a half goals"), Sentence(2.0, 4.0, "so late")]
    assert parse_captions(SRT, is_vtt=False) == [Sentence(1.5, 3.0, "Two goals"), Sentence(2.0, 2.0, "- Yes.")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_files_are_read_in_the_encodings_in_which_they_are_written(encoding, tmp_path):
    (tmp_path / "a.srt").write_bytes("1\n00:00:01,000 --> 00:00:02,000\nüber\n".encode(encoding))
    assert read_captions(str(tmp_path / "a.srt")) == [Sentence(1.0, 2.0, "über")]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.vtt", SRT, "does not begin with WEBVTT"),
        ("a.vtt", "", "does not begin with WEBVTT"),
        ("a.vtt", "WEBVTT\n\nNOTE nothing", "has no sentence"),
        ("a.srt", SRT + "\n\nand so on", "is no line of times"),
        ("a.srt", SRT.replace(",5 -->", ",x -->"), "is no line of times"),
        ("a.srt", "00:00:03,000 --> 00:00:02,000\nlate", "ends before it starts"),
        ("a.srt", "9999:00:00,0 --> 9999:00:01,0\nnever", "no time of a film"),
        ("a.srt", "\0\x01" * 40, "is no line of times"),
        ("a.ass", SRT, r"\.vtt and \.srt files only"),
    ],
)
def test_a_file_of_anything_else_is_refused_as_a_whole(name, text, reason, tmp_path):
    (tmp_path / name).write_text(text, newline="")
    with pytest.raises(ValueError, match=reason):
        read_captions(str(tmp_path / name))


def test_captions_are_those_of_the_manifest_or_lie_beside_the_film(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "a.srt", "b.mp4", "sub/b.vtt", "c.mp4", "c.vtt.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path.parent / "private.vtt").write_text("WEBVTT")
    items = open_items(tmp_path)
    assert caption_files(items) == [str(tmp_path / "a.srt"), "", ""]
    assert any("2 files of captions, read with --set text only (a.srt, sub/b.vtt)" in note for note in items.notes)
    (tmp_path / "list.csv").write_text(
        "path,start_s,end_s,captions\na.mp4,0,1,\nb.mp4,0,1,sub/b.vtt\nb.mp4,1,2,sub/b.vtt\nc.mp4,0,1,gone.vtt\na.mp4,0,1,../private.vtt\n"
    )
    items = open_items(tmp_path / "list.csv")
    own, beside = str(tmp_path.resolve() / "sub/b.vtt"), str(tmp_path.resolve() / "a.srt")
    assert caption_files(items) == [beside, own, own, "", beside]
    assert [(entry[0], entry.text.split(";")[0]) for entry in items.skipped] == [
        ("gone.vtt", "row 4 of list.csv: captions: no such file"),
        ("../private.vtt", "row 5 of list.csv: captions: the path leaves the manifest's folder"),
    ]
    assert caption_files(items.take([2, 0])) == [own, beside]
