"""Where a member is signed in."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.kernel.auth import Principal
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

LAST: Final = 2**63 - 1
SESSIONS: Final = """
SELECT id, agent, created_at, last_used_at, id = $3 FROM access_token
WHERE tenant_id = scope.tenant AND member_id = $2 AND kind = 'panel' AND expires_at > $4 AND id < $5 ORDER BY id DESC LIMIT $6
"""


class OwnSessionView(Struct, frozen=True):
    """One sign-in that still holds; ``agent`` is the browser's ``User-Agent``, ``current`` the session that asks."""

    id: int
    agent: str | None
    created_at: datetime
    last_used_at: datetime | None
    current: bool


async def list_sessions(uow: UnitOfWork, caller: Principal, paging: Paging) -> tuple[list[OwnSessionView], Page]:
    """The caller's own, newest first."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor else LAST
    rows = await uow.fetch(SESSIONS, caller.user_id, caller.token_id, uow.now, before, paging.limit + 1)
    shown = [OwnSessionView(*row) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)
