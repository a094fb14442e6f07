"""Closing the workspace on a date, and opening it again. What follows the hours (replies, clocks) follows closures, too."""

import datetime as dt
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from plixa.kernel.audit import record
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.closures import ClosureView, count_closures, find_closure, get_closure
from plixa.scheduling.queries.holidays import read_config
from plixa.workspace.commands.settings import alone, follow_hours

MOST: Final = 2000
"""Closures a workspace can have, past ones too."""
FARTHEST: Final = dt.timedelta(days=5 * 366)
INSERT: Final = "INSERT INTO closure (tenant_id, id, date, reason, source, created_at) VALUES ($1, $2, $3, $4, 'manual', $5)"
DELETE: Final = "DELETE FROM closure WHERE tenant_id = $1 AND id = $2"
KEEP_OPEN: Final = "INSERT INTO reopened_day (tenant_id, date) VALUES ($1, $2) ON CONFLICT DO NOTHING"


class CloseDay(Struct, frozen=True):
    """The whole of one date, by the calendar of whoever would be booked."""

    date: dt.date
    reason: Annotated[str, Meta(max_length=255)] | None = None


async def close_day(uow: UnitOfWork, data: CloseDay) -> ClosureView:
    """Close it, once: a date that is closed already stays as it is. Raises Invalid for a date too far away, Conflict at too many."""
    if abs(data.date - uow.now.date()) > FARTHEST:
        raise Invalid.field("date", "Choose a date within five years.")
    await alone(uow)
    known = await find_closure(uow, data.date)
    if known is not None:
        return known
    if await count_closures(uow) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} closures. Delete past ones first.")
    closure = ClosureView(await uow.number("closure_number"), data.date, data.reason, "manual")
    await uow.execute(INSERT, closure.id, closure.date, closure.reason, uow.now)
    follow_hours(uow)
    await record(uow, "closure.created", ("closure", closure.id), after=msgspec.to_builtins(closure))
    return closure


async def reopen_day(uow: UnitOfWork, number: int) -> None:
    """Open it again; where holidays are imported it stays open, whatever day it is. Raises NotFound."""
    await alone(uow)
    closure = await get_closure(uow, number)
    await uow.execute(DELETE, number)
    if closure.source == "holiday" or (await read_config(uow)).block_holidays:
        await uow.execute(KEEP_OPEN, closure.date)
    follow_hours(uow)
    await record(uow, "closure.deleted", ("closure", number), msgspec.to_builtins(closure))
