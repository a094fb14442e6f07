"""When customers are reminded, unless a service says otherwise."""

from typing import Final

from msgspec import Struct

from plixa.kernel.audit import record_change
from plixa.kernel.errors import Invalid
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.reminders import remind_anew
from plixa.scheduling.commands.services import Offsets
from plixa.scheduling.queries.reminder_config import get_reminder_config
from plixa.workspace.commands.settings import alone

KEEP: Final = """INSERT INTO reminder_config (tenant_id, offsets) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET offsets = excluded.offsets"""


class UpdateReminderConfig(Struct, frozen=True):
    """Minutes before the start; empty is never, null as we have it by default."""

    offsets: Offsets | None


async def update_reminder_config(uow: UnitOfWork, data: UpdateReminderConfig) -> None:
    """Other reminders, also for what is booked already; raises Invalid for a time that is named twice."""
    offsets = None if data.offsets is None else sorted(set(data.offsets), reverse=True)
    if offsets is not None and len(offsets) < len(data.offsets or ()):
        raise Invalid.field("offsets", "Name each time once.")
    await alone(uow)
    before = (await get_reminder_config(uow)).offsets
    if offsets != before:
        await uow.execute(KEEP, offsets)
        remind_anew(uow, None)
        await record_change(uow, "reminder_config.updated", ("tenant", uow.tenant), {"offsets": before}, {"offsets": offsets})
