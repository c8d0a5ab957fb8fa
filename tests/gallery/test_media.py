"""Responses with an item's bytes: ranges as browsers ask for them, and types that a browser never executes."""

import io
import wave

import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal

from selflabel.gallery.media import media_response, media_type, parse_range, sound_response
from selflabel.items import Blob, Piece
from tests.films import tone, write_film
from tests.gallery.client import served_files


@pytest.mark.parametrize(
    "header,byte_range",
    [
        (None, (0, 9)),
        ("bytes=2-5", (2, 5)),
        ("bytes=7-", (7, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-30", (0, 9)),
        ("bytes=0-99", (0, 9)),
        (" bytes=0-0 ", (0, 0)),
    ],
)
def test_a_range_is_first_and_last_byte(header, byte_range):
    assert parse_range(header, 10) == byte_range


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=0-1,3-4", "bytes=a-b"])
def test_a_range_that_cannot_be_served_is_none(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    "name,mime",
    [
        ("a.JPG", "image/jpeg"),
        ("folder/b.mp4", "video/mp4"),
        ("c.flac", "audio/flac"),
        ("evil.html", "application/octet-stream"),
        ("evil.svg", "application/octet-stream"),
        ("evil.png.js", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ],
)
def test_a_type_is_that_of_the_ending_and_never_one_that_a_browser_executes(name, mime):
    assert media_type(name) == mime


def body_of(response):
    async def read():
        return b"".join([block async for block in response.body_iterator])

    with start_blocking_portal() as portal:  # a thread of its own: a browser's tests leave a loop running in this one
        return portal.call(read)


def test_a_part_of_a_larger_file_is_sent_from_its_own_place_on(tmp_path):
    file, data = tmp_path / "shard.tar", bytes(range(256)) * 3000
    file.write_bytes(data)
    blob = Blob(str(file), 1000, 400_000)
    assert body_of(media_response(blob, "a.mp4", None)) == data[1000:401_000]
    response = media_response(blob, "a.mp4", "bytes=10-19")
    assert body_of(response) == data[1010:1020] and response.headers["content-range"] == "bytes 10-19/400000"


def test_a_file_that_is_deleted_once_its_length_is_promised_is_still_sent_whole(tmp_path):
    file, data = tmp_path / "a.png", bytes(range(256)) * 4000
    file.write_bytes(data)
    response = media_response(Blob(str(file)), "a.png", "bytes=10-")
    file.unlink()
    assert response.headers["content-length"] == str(len(data) - 10) and body_of(response) == data[10:]


def test_ranges_of_a_film_are_those_asked_for(tmp_path):
    data = bytes(range(256)) * 40
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "a.mp4").write_bytes(data)
    parts = {
        "bytes=10-19": data[10:20],
        "bytes=10000-": data[10000:],
        "bytes=-5": data[-5:],
        "bytes=0-99999999": data,
    }
    with served_files(tmp_path, ["a.mp4"]) as client:
        for header, part in parts.items():
            response, body = client.request("/media/0/video", Range=header)
            assert response.status == 206 and body == part, header
            assert response.headers["content-range"].endswith(f"/{len(data)}")
            assert response.headers["content-type"] == "video/mp4"
        for header in ("bytes=99999-", "bytes=5-2", "bytes=-", "lines=1-2"):
            assert client.status("/media/0/video", Range=header) == 416
        assert client.request("/media/0/video")[1] == data


def test_a_page_disguised_as_an_image_is_sent_as_an_image(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "evil.html.jpg").write_bytes(b"<script>alert(1)</script>")
    with served_files(tmp_path, ["evil.html.jpg"]) as client:
        headers = client.request("/media/0/image")[0].headers
        assert headers["content-type"] == "image/jpeg" and headers["x-content-type-options"] == "nosniff"


def test_a_span_of_an_mp3_is_played_from_a_wave_file_of_which_every_part_is_in_its_place(tmp_path):
    steps = np.concatenate([tone(400 + 200 * i, 1.0) for i in range(6)])
    file = write_film(tmp_path / "a.mp3", wave=steps, sound="libmp3lame")
    blob = Blob(str(file), piece=Piece(span_s=(4.0, 5.0)))
    whole = body_of(sound_response(blob, "a.mp3", None))
    with wave.open(io.BytesIO(whole)) as sound:
        rate, samples = sound.getframerate(), np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    assert rate == 16_000 and len(samples) == pytest.approx(6 * rate, abs=0.2 * rate)
    for i in range(6):
        second = samples[int((i + 0.1) * rate) : int((i + 0.9) * rate)]
        loudest = np.abs(np.fft.rfft(second)).argmax() * rate / len(second)
        assert loudest == pytest.approx(400 + 200 * i, abs=10)
    for first, last in ((0, 9), (40, 51), (100_001, 100_500), (len(whole) - 5, len(whole) - 1)):
        response = sound_response(blob, "a.mp3", f"bytes={first}-{last}")
        assert response.status_code == 206 and body_of(response) == whole[first : last + 1]
        assert response.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
    assert sound_response(blob, "a.mp3", "bytes=99999999-").status_code == 416
    assert body_of(sound_response(blob, "a.wav", None)) == file.read_bytes()  # which a browser plays
