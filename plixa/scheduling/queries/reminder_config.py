"""When customers of a workspace are reminded."""

from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.reminders import DEFAULT

CONFIG: Final = "SELECT offsets FROM reminder_config WHERE tenant_id = scope.tenant"


class ReminderConfigView(Struct, frozen=True):
    """Minutes before the start: null is ``default_offsets``, an empty list is never. A service may have its own."""

    offsets: list[int] | None
    default_offsets: list[int]


async def get_reminder_config(uow: UnitOfWork) -> ReminderConfigView:
    """What is set."""
    row = await uow.fetchrow(CONFIG)
    return ReminderConfigView(row["offsets"] if row else None, list(DEFAULT))
