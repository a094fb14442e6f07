"""Public holidays as closures: imported when that is switched on and every day after, dropped when it is switched off."""

from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from plixa.kernel.audit import record
from plixa.kernel.delivery import Delivery
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.holidays import HolidayConfig, HolidayView, find_holidays, read_config
from plixa.workspace.commands.settings import alone, follow_hours

SYNC: Final = "scheduling.sync_holidays"
DAILY: Final = timedelta(days=1)
KEEP: Final = """INSERT INTO holiday_config (tenant_id, block_holidays, last_synced_at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET block_holidays = $2, last_synced_at = coalesce($3, holiday_config.last_synced_at)"""
DROP: Final = "DELETE FROM closure WHERE tenant_id = $1 AND source = 'holiday' AND date > $2 AND date <> ALL($3::date[])"
IMPORT: Final = """INSERT INTO closure (tenant_id, date, reason, source, created_at)
SELECT $1, h.date, h.name, 'holiday', $2 FROM unnest($3::date[], $4::text[]) AS h(date, name)
WHERE NOT EXISTS (SELECT FROM reopened_day r WHERE r.tenant_id = $1 AND r.date = h.date)
ON CONFLICT (tenant_id, date) DO UPDATE SET reason = excluded.reason
WHERE closure.source = 'holiday' AND closure.reason IS DISTINCT FROM excluded.reason"""


class UpdateHolidayConfig(Struct, frozen=True):
    """Whether public holidays close the workspace."""

    block_holidays: bool


async def update_holiday_config(uow: UnitOfWork, data: UpdateHolidayConfig) -> None:
    """On: import them at once, again where it was on. Off: the closures of future holidays go; past ones and those by hand stay."""
    holidays = await find_holidays(await read_config(uow)) if data.block_holidays else []
    await alone(uow)
    config = await read_config(uow)
    if not data.block_holidays and not config.block_holidays:
        return
    changes = await apply(uow, config, holidays)
    await uow.execute(KEEP, data.block_holidays, uow.now if data.block_holidays else None)
    if data.block_holidays:
        enrol(uow, uow.now.date())
    if data.block_holidays == config.block_holidays:
        await record(uow, "holidays.synced", ("tenant", uow.tenant), after=changes)
        return
    before, after = {"block_holidays": config.block_holidays}, {"block_holidays": data.block_holidays, **changes}
    await record(uow, "holiday_config.updated", ("tenant", uow.tenant), before, after)


async def sync_holidays(uow: UnitOfWork, delivery: Delivery) -> None:
    """One more day of the two years ahead; not where holidays are not wanted any more."""
    holidays = await find_holidays(await read_config(uow))
    await alone(uow)
    config = await read_config(uow)
    await delivery.done(uow)
    if not config.block_holidays:
        return
    changes = await apply(uow, config, holidays)
    await uow.execute(KEEP, True, uow.now)
    enrol(uow, max(uow.now.date(), date.fromisoformat(delivery.key)))
    if any(changes.values()):
        await record(uow, "holidays.synced", ("tenant", uow.tenant), after=changes)


async def apply(uow: UnitOfWork, config: HolidayConfig, wanted: list[HolidayView]) -> dict[str, Any]:
    """These are the holidays, and no others to come. Days closed by hand, or reopened, are left alone. Answers how many changed."""
    dates = [holiday.date for holiday in wanted]
    dropped = counted(await uow.execute(DROP, config.today, dates))
    imported = counted(await uow.execute(IMPORT, uow.now, dates, [holiday.name for holiday in wanted]))
    if dropped or imported:
        follow_hours(uow)
    return {"imported": imported, "dropped": dropped}


def counted(status: str) -> int:
    """How many rows a statement wrote, by its answer (``DELETE 3``)."""
    return int(status.rpartition(" ")[2])


def enrol(uow: UnitOfWork, today: date) -> None:
    """Have the next sync happen the day after, once."""
    following = today + DAILY
    uow.enqueue(Effect(SYNC, following.isoformat(), due_at=uow.now + (following - uow.now.date())))
