"""The small picture in a digest: two bars an hour or a day, what came and what went."""

import io
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from plixa.reports.domain.digest import Bar

WIDTH, HEIGHT, MARGIN = 992, 320, 40
"""Pixels, two for each that a mail shows."""
RECEIVED, SENT, LINE, INK = "#0f766e", "#99d5cf", "#d9dee4", "#616e7c"
MOST_LABELS: Final = 16
LETTERS: Final = 20


def draw_chart(bars: Sequence[Bar]) -> bytes:
    """A PNG; one without bars is an empty frame."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "#ffffff")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(LETTERS)
    most = max((number for bar in bars for number in (bar.received, bar.sent)), default=0)
    floor, step = HEIGHT - MARGIN, (WIDTH - 2 * MARGIN) / max(len(bars), 1)
    pen.line((MARGIN, floor, WIDTH - MARGIN, floor), LINE, 2)
    if most:
        pen.line((MARGIN, MARGIN, WIDTH - MARGIN, MARGIN), LINE, 1)
        pen.text((MARGIN, MARGIN - 4), str(most), INK, font, anchor="lb")
    for place, bar in enumerate(bars):
        left, wide = MARGIN + place * step, step * 0.4
        for number, colour, start in ((bar.received, RECEIVED, left + step * 0.1), (bar.sent, SENT, left + step * 0.5)):
            if number:
                pen.rectangle((start, floor - max(1.0, number / most * (floor - MARGIN)), start + wide - 1, floor - 1), colour)
        if place % -(-len(bars) // MOST_LABELS) == 0:
            pen.text((left + step / 2, floor + 8), bar.label, INK, font, anchor="mt")
    content = io.BytesIO()
    image.quantize(16).save(content, "PNG", optimize=True)
    return content.getvalue()
