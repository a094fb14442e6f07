"""Which of the staff look at a ticket just now, and who is answering it."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

LASTS: Final = timedelta(seconds=30)
"""After so long without a sign of life somebody no longer looks."""
VIEWERS: Final = """SELECT staff_id, name, replying, since FROM ticket_viewer
WHERE tenant_id = scope.tenant AND ticket_id = $2 AND seen_at > $3::timestamptz ORDER BY since, staff_id LIMIT 100"""


class ViewerView(Struct, frozen=True):
    """Somebody who has had the ticket open since then."""

    admin_id: int
    name: str
    replying: bool
    since: datetime


async def list_viewers(uow: UnitOfWork, ticket: int) -> list[ViewerView]:
    """Everybody who looks at it, the first first."""
    return [ViewerView(*row) for row in await uow.fetch(VIEWERS, ticket, uow.now - LASTS)]
