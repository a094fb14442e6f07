"""Lists as CSV files: streamed page by page, and harmless to the spreadsheet that opens them."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final

from litestar.response import Stream

from plixa.kernel.envelope import Page

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""
PAGE: Final = 200
"""Rows read at once."""

Rows = Callable[[str | None], Awaitable[tuple[list[Any], Page]]]
"""The page behind a cursor."""


async def csv_file(name: str, header: list[str], pages: Rows, cells: Callable[[Any], Iterable[Any]]) -> Stream:
    """A download of everything ``pages`` hold, one row of ``cells`` each. The first is read now, while it can still be refused."""
    first = await pages(None)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Stream(lines(header, first, pages, cells), media_type="text/csv; charset=utf-8", headers=headers)


async def lines(
    header: list[str], first: tuple[list[Any], Page], pages: Rows, cells: Callable[[Any], Iterable[Any]]
) -> AsyncIterator[bytes]:
    """The file in chunks of one page."""
    yield written([header])
    rows, page = first
    while True:
        if rows:
            yield written(cells(row) for row in rows)
        if page.next_cursor is None:
            return
        rows, page = await pages(page.next_cursor)


def written(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows as CSV (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def harmless(cell: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
