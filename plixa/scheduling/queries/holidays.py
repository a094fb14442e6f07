"""Whether public holidays close the workspace, and which come next."""

import asyncio
import datetime as dt
from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.domain.holidays import list_public_holidays
from plixa.workspace.domain import local_date

CONFIG: Final = """SELECT t.country_code, t.locale, t.timezone, coalesce(c.block_holidays, false) AS block_holidays, c.last_synced_at
FROM tenant t LEFT JOIN holiday_config c ON c.tenant_id = t.tenant_id WHERE t.tenant_id = scope.tenant"""
AHEAD: Final = dt.timedelta(days=2 * 365)
"""How far ahead holidays are known and imported."""
UPCOMING: Final = 10


class HolidayView(Struct, frozen=True):
    """A public holiday, named in the workspace's language where that is known."""

    date: dt.date
    name: str


class HolidayConfigView(Struct, frozen=True):
    """``synced``: nothing is left to be imported. ``upcoming`` are the country's next holidays, whether or not they close anything."""

    block_holidays: bool
    country_code: str
    synced: bool
    last_synced_at: dt.datetime | None
    upcoming: list[HolidayView]


class HolidayConfig(Struct, frozen=True):
    """What is set, and what day it is in the workspace."""

    country_code: str
    locale: str
    today: dt.date
    block_holidays: bool
    last_synced_at: dt.datetime | None


async def get_holiday_config(uow: UnitOfWork) -> HolidayConfigView:
    """As the panel shows it."""
    config = await read_config(uow)
    upcoming = (await find_holidays(config))[:UPCOMING]
    synced = not config.block_holidays or config.last_synced_at is not None
    return HolidayConfigView(config.block_holidays, config.country_code, synced, config.last_synced_at, upcoming)


async def read_config(uow: UnitOfWork) -> HolidayConfig:
    """What is set; holidays close nothing before anybody wanted it."""
    row = await uow.fetchrow(CONFIG)
    if row is None:
        raise LookupError("A workspace without a row.")
    today = local_date(uow.now, row["timezone"])
    return HolidayConfig(row["country_code"], row["locale"], today, row["block_holidays"], row["last_synced_at"])


async def find_holidays(config: HolidayConfig) -> list[HolidayView]:
    """The workspace's public holidays, from today until two years ahead."""
    known = await asyncio.to_thread(list_public_holidays, config.country_code, config.locale, config.today, config.today + AHEAD)
    return [HolidayView(*one) for one in known]
