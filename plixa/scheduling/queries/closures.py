"""Dates on which the workspace is closed: nobody can be booked, and customers are told so."""

import datetime as dt
from typing import Any, Final, Literal

import asyncpg
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

LIST: Final = """SELECT id, date, reason, source FROM closure
WHERE tenant_id = scope.tenant AND date >= $2::date AND date <= $3::date ORDER BY date LIMIT $4::int"""
ONE: Final = "SELECT id, date, reason, source FROM closure WHERE tenant_id = scope.tenant AND id = $2"
AT: Final = "SELECT id, date, reason, source FROM closure WHERE tenant_id = scope.tenant AND date = $2"
NUMBER: Final = "SELECT count(*) FROM closure WHERE tenant_id = scope.tenant"
LAST: Final = dt.date(9999, 12, 31)


class ClosureView(Struct, frozen=True):
    """``source``: a holiday, or somebody closed it by hand."""

    id: int
    date: dt.date
    reason: str | None
    source: Literal["manual", "holiday"]


class Days(Struct, frozen=True):
    """From one date until another, both included."""

    first: dt.date | None = None
    last: dt.date | None = None


async def list_closures(uow: UnitOfWork, days: Days, paging: Paging) -> tuple[list[ClosureView], Page]:
    """One page, earliest first."""
    first = days.first or dt.date.min
    if paging.cursor:
        (after,) = decode(paging.cursor, (dt.date,))
        first = max(first, after)
    found = [closure_view(row) for row in await uow.fetch(LIST, first, days.last or LAST, paging.limit + 1)]
    following = encode((found[-1].date,)) if len(found) > paging.limit else None
    return found[: paging.limit], Page(following, paging.limit)


async def get_closure(uow: UnitOfWork, number: int) -> ClosureView:
    """One; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such closure.")
    return closure_view(row)


async def find_closure(uow: UnitOfWork, at: dt.date) -> ClosureView | None:
    """The closure of a date, if it is closed."""
    row = await uow.fetchrow(AT, at)
    return None if row is None else closure_view(row)


async def count_closures(uow: UnitOfWork) -> int:
    """How many there are, past ones too."""
    (row,) = await uow.fetch(NUMBER)
    return int(row["count"])


def closure_view(row: "asyncpg.Record | tuple[Any, ...]") -> ClosureView:
    """A row of ``closure``."""
    return ClosureView(*row)
