"""Files are kept unreadable, named by chance, and served so that none can do harm."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.kernel.crypto import new_data_key
from plixa.kernel.errors import NotFound, PayloadTooLarge, Unavailable
from plixa.kernel.media import INLINE, LARGEST, MARGIN, OCTETS, MediaStore, ranged, safe_headers, safe_name, sniff

KEY = new_data_key()
PHOTO = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(200)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    return MediaStore("memory:" if request.param == "memory" else f"file://{tmp_path / 'a folder'}")


class TestKeeping:
    async def test_what_was_kept_comes_back(self, store: MediaStore) -> None:
        blob = await store.put(7, PHOTO, KEY)
        assert blob.startswith("7/")
        assert await store.get(blob, KEY) == PHOTO

    async def test_an_empty_file_is_a_file(self, store: MediaStore) -> None:
        assert await store.get(await store.put(7, b"", KEY), KEY) == b""

    async def test_the_same_file_has_another_name_each_time(self, store: MediaStore) -> None:
        assert await store.put(7, PHOTO, KEY) != await store.put(7, PHOTO, KEY)

    async def test_a_file_that_was_deleted_is_gone_and_may_be_deleted_again(self, store: MediaStore) -> None:
        blob = await store.put(7, PHOTO, KEY)
        await store.delete(blob)
        await store.delete(blob)
        with pytest.raises(NotFound):
            await store.get(blob, KEY)

    async def test_another_key_does_not_open_it(self, store: MediaStore) -> None:
        blob = await store.put(7, PHOTO, KEY)
        with pytest.raises(NotFound):
            await store.get(blob, new_data_key())

    async def test_a_file_as_large_as_allowed_is_kept_and_a_larger_one_is_refused(self, store: MediaStore) -> None:
        largest = bytes(LARGEST + MARGIN)
        assert await store.get(await store.put(7, largest, KEY), KEY) == largest
        with pytest.raises(PayloadTooLarge):
            await store.put(7, largest + b"x", KEY)

    @pytest.mark.parametrize("blob", ["../secret.key", "/etc/passwd", "7/../7", "7", "", "7/ab/\x00", "0/ab/" + "a" * 32])
    async def test_a_name_that_is_none_of_ours_is_not_found(self, store: MediaStore, blob: str) -> None:
        with pytest.raises(NotFound):
            await store.get(blob, KEY)
        await store.delete(blob)

    async def test_the_folder_holds_only_noise(self, tmp_path: Path) -> None:
        blob = await MediaStore(f"file://{tmp_path}").put(7, b"marker " * 100, KEY)
        assert b"marker" not in (tmp_path / blob).read_bytes()

    async def test_a_file_moved_to_another_name_does_not_open(self, tmp_path: Path) -> None:
        store = MediaStore(f"file://{tmp_path}")
        first, second = await store.put(7, PHOTO, KEY), await store.put(7, b"other", KEY)
        (tmp_path / first).rename(tmp_path / second)
        with pytest.raises(NotFound):
            await store.get(second, KEY)

    @pytest.mark.parametrize("damage", [lambda sealed: sealed[:-1], lambda _: b"", lambda _: b"short", lambda s: s + b"x"])
    async def test_a_damaged_file_is_not_found(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        store = MediaStore(f"file://{tmp_path}")
        blob = await store.put(7, PHOTO, KEY)
        (tmp_path / blob).write_bytes(damage((tmp_path / blob).read_bytes()))
        with pytest.raises(NotFound):
            await store.get(blob, KEY)

    async def test_a_swollen_file_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        store = MediaStore(f"file://{tmp_path}")
        blob = await store.put(7, PHOTO, KEY)
        os.truncate(tmp_path / blob, 1 << 40)
        with pytest.raises(NotFound):
            await store.get(blob, KEY)

    async def test_a_bucket_that_does_not_answer_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        store = MediaStore("s3://bucket/media")
        with pytest.raises(Unavailable):
            await store.put(7, PHOTO, KEY)
        with pytest.raises(Unavailable):
            await store.get(f"7/ab/{'a' * 32}", KEY)


def archive(*names: str) -> bytes:
    """A ZIP of empty files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name in names:
            written.writestr(name, "")
    return file.getvalue()


def iso(brand: bytes) -> bytes:
    """The beginning of an ISO media file."""
    return b"\0\0\0\x20ftyp" + brand + bytes(40)


SAMPLES = {
    "image/jpeg": PHOTO,
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20),
    "image/gif": b"GIF89a=1;alert(1)//",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20),
    "image/heic": iso(b"heic"),
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "audio/ogg": b"OggS\0\2" + bytes(22) + b"\x01\x13OpusHead",
    "audio/mpeg": b"\xff\xfb\x90\x64" + bytes(400),
    "audio/mp4": iso(b"M4A "),
    "audio/aac": b"\xff\xf1\x50\x80" + bytes(100),
    "audio/amr": b"#!AMR\n" + bytes(20),
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
    "video/mp4": iso(b"isom"),
    "video/3gpp": iso(b"3gp4"),
    "video/quicktime": iso(b"qt  "),
    "video/webm": b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(20),
    "application/pdf": b"%PDF-1.7\n<script>alert(1)</script>",
    "application/zip": archive("a.txt"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": archive("_rels/.rels", "word/document.xml"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": archive("[Content_Types].xml", "xl/workbook.xml"),
    "application/msword": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
    "text/html": b"<!DOCTYPE html><html><script>alert(1)</script>",
    "text/vcard": b"BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n",
    "text/plain": "Olá, vocês entregam?\n".encode(),
    OCTETS: bytes(range(256)),
}


class TestKnowing:
    @pytest.mark.parametrize("mime", SAMPLES)
    def test_a_file_is_known_by_its_content(self, mime: str) -> None:
        assert sniff(SAMPLES[mime]) == mime

    @pytest.mark.parametrize("page", [b"<html>%PDF-1.4", b"\n<svg onload=alert(1)>", b" GIF89a", b"", b"<?php echo 1;", b"MZ"])
    def test_a_disguised_file_is_nothing_a_browser_shows(self, page: bytes) -> None:
        assert sniff(page) not in INLINE

    @given(st.binary(max_size=300), st.sampled_from([*SAMPLES.values(), b""]), st.integers(0, 40))
    def test_no_content_is_too_strange(self, noise: bytes, start: bytes, cut: int) -> None:
        assert "/" in sniff(start[:cut] + noise)


class TestServing:
    @pytest.mark.parametrize("mime", sorted(INLINE))
    def test_what_a_browser_only_shows_is_shown(self, mime: str) -> None:
        headers = safe_headers(f"{mime}; codecs=opus", "file")
        assert headers["Content-Type"] == mime
        assert headers["Content-Disposition"].startswith("inline; ")

    @pytest.mark.parametrize(
        "mime",
        ["image/svg+xml", "text/html", "application/xhtml+xml", "text/xml", "text/plain", "image/png\r\nX: y", "", "é"],
    )
    def test_anything_else_is_a_download_of_octets(self, mime: str) -> None:
        headers = safe_headers(mime, "page.html")
        assert headers["Content-Type"] == OCTETS
        assert headers["Content-Disposition"].startswith("attachment; ")

    def test_every_file_is_boxed_in_and_private(self) -> None:
        headers = safe_headers("application/pdf", None)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"].split("; ")
        assert headers["Cache-Control"].startswith("private")
        assert headers["Vary"] == "Authorization"

    def test_names_keep_their_alphabet(self) -> None:
        disposition = safe_headers("application/zip", "Orçamento nº 3.pdf")["Content-Disposition"]
        expected = "attachment; filename=\"Or_amento n_ 3.pdf\"; filename*=UTF-8''Or%C3%A7amento%20n%C2%BA%203.pdf"
        assert disposition == expected

    @pytest.mark.parametrize(
        ("given_name", "name"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\a.txt", "a.txt"),
            ("CON", "_CON"),
            ("com1.txt", "_com1.txt"),
            ("\u202egpj.exe", "gpj.exe"),
            ("a\x00b\r\n.txt", "ab.txt"),
            ('a"b;c.txt', "a_b;c.txt"),
            (".hidden", "hidden"),
            ("..", "file"),
            ("", "file"),
            (None, "file"),
            ("x" * 300 + ".pdf", "x" * 108 + ".pdf"),
        ],
    )
    def test_no_name_leads_elsewhere(self, given_name: str | None, name: str) -> None:
        assert safe_name(given_name) == name

    @given(st.text(max_size=200), st.text(max_size=40))
    def test_no_name_and_no_type_breaks_a_header(self, filename: str, mime: str) -> None:
        for value in safe_headers(mime, filename).values():
            assert value.isascii()
            assert value.isprintable()


class TestRanges:
    @pytest.mark.parametrize(
        ("header", "status", "body", "content_range"),
        [
            (None, 200, b"0123456789", None),
            ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
            ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
            ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
            ("bytes=4-999999", 206, b"456789", "bytes 4-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
            ("bytes=10-", 416, b"", "bytes */10"),
            ("bytes=-0", 416, b"", "bytes */10"),
            ("bytes=-", 200, b"0123456789", None),
            ("bytes=4-2", 200, b"0123456789", None),
            ("bytes=0-1,3-4", 200, b"0123456789", None),
            ("lines=0-1", 200, b"0123456789", None),
            ("bytes=١-٢", 200, b"0123456789", None),
            ("bytes=" + "9" * 400 + "-", 200, b"0123456789", None),
        ],
    )
    def test_one_range_is_answered(self, header: str | None, status: int, body: bytes, content_range: str | None) -> None:
        part = ranged(b"0123456789", header)
        assert (part.status, part.body, part.headers.get("Content-Range")) == (status, body, content_range)
        assert part.headers["Accept-Ranges"] == "bytes"

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
    def test_nothing_has_no_ranges(self, header: str) -> None:
        assert ranged(b"", header).status == 416
