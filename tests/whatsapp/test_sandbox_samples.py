"""The files a simulated customer sends are real ones."""

import binascii
import struct
import zlib

from plixa.whatsapp.sandbox import samples


def test_the_built_in_picture_is_a_png_whose_pixels_unpack() -> None:
    png = samples.picture(8, 4)
    assert struct.unpack(">II", png[16:24]) == (8, 4)
    start = png.index(b"IDAT")
    length = struct.unpack(">I", png[start - 4 : start])[0]
    assert len(zlib.decompress(png[start + 4 : start + 4 + length])) == 4 * (1 + 8 * 3)
    assert struct.unpack(">I", png[-4:])[0] == binascii.crc32(b"IEND")


def test_the_built_in_voice_note_is_an_ogg_of_two_seconds_of_opus() -> None:
    voice = samples.voice(2)
    assert voice.count(b"OggS") == 4
    assert voice[28:36] == b"OpusHead"
    last = voice[voice.rindex(b"OggS") :]
    assert struct.unpack("<q", last[6:14])[0] == 96_000
    assert last[5] == 4
