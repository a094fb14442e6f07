"""Pictures from strangers: recognised by what they hold, made anew, and served so that they can do no harm."""

import asyncio
import io
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from msgspec import Struct
from PIL import Image

from plixa.kernel.errors import Invalid, PayloadTooLarge

FORMATS: Final = {"PNG": ("image/png", "png"), "JPEG": ("image/jpeg", "jpg"), "WEBP": ("image/webp", "webp")}
"""What is accepted, and how it is served. No SVG: it can run scripts."""
MOST_PIXELS: Final = 2_048 * 2_048
"""Looked at before anything is decoded: a few kilobytes can say they are gigabytes, and a WebP takes some seventeen bytes a pixel."""
LONGEST_SIDE: Final = 1_024
"""Pixels of what is kept."""
ORIENTATION: Final = 0x0112
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is turned that its camera held in another way, by Exif's orientation."""
POLICY: Final = "default-src 'none'; sandbox"

_one_by_one: Final = ThreadPoolExecutor(1, "images")
"""Each takes tens of megabytes."""


class Picture(Struct, frozen=True):
    """A picture made anew: nothing of the upload but its pixels."""

    content: bytes
    mime: str
    ending: str


async def clean(data: bytes, most: int, field: str) -> Picture:
    """The picture in ``data``, off the event loop; raises PayloadTooLarge beyond ``most`` bytes, Invalid for what is no picture."""
    if len(data) > most:
        raise PayloadTooLarge(f"The image is larger than {most // 1024} KB.")
    return await asyncio.get_running_loop().run_in_executor(_one_by_one, remake, data, field)


def remake(data: bytes, field: str) -> Picture:
    """Decode and encode again: metadata, trailing archives and scripts stay behind; turned as its camera meant it."""
    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Invalid.field(field, f"Must have at most {MOST_PIXELS:,} pixels.")
            kind, turn = str(image.format), UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            image.load()
            upright = image if turn is None else image.transpose(turn)
            plain = upright.convert("RGB" if kind == "JPEG" else "RGBA")
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise Invalid.field(field, "Must be a PNG, JPEG or WebP image.") from error
    bare = Image.new(plain.mode, plain.size)
    bare.paste(plain)
    out = io.BytesIO()
    bare.save(out, kind, **({"quality": 88} if kind != "PNG" else {"optimize": True}))
    mime, ending = FORMATS[kind]
    return Picture(out.getvalue(), mime, ending)


def public_headers(mime: str) -> dict[str, str]:
    """Headers of a picture that anybody may fetch by its random name, which never means another one."""
    return {
        "Content-Type": mime,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": POLICY,
        "Content-Disposition": "inline",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
