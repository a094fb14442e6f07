"""Who is told of what happens in the calendar, and in which words, as things stand when it is said."""

from datetime import datetime, timedelta
from typing import Any, Final

from plixa.kernel.uow import UnitOfWork
from plixa.notifications.domain.push import Notice
from plixa.notifications.queries.push import Hearer
from projections.calendar import calendar

CONFLICT: Final = "calendar_conflict"
PROVIDERS: Final = "SELECT id, provider_id FROM appointment WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])"


async def list_providers(uow: UnitOfWork, appointments: list[int]) -> dict[int, int]:
    """Whose some appointments are, by their ids."""
    return {row["id"]: row["provider_id"] for row in await uow.fetch(PROVIDERS, appointments)}


async def write_conflict(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """The provider's own calendar says otherwise, and still does."""
    number = about["appointment_id"]
    row = await uow.row(calendar, number)
    if row is None or row.conflict is None or row.provider_id != hearer.id:
        return None
    return Notice(
        kind=f"appointment_{row.conflict}_outside",
        title=row.service_name,
        url=f"/calendar/{number}",
        tag=f"appointment/{number}",
        at=datetime.fromisoformat(about["at"]),
        life=timedelta(hours=12),
    )


WRITERS: Final = {CONFLICT: write_conflict}
"""Who writes a notice, by what it is about."""
