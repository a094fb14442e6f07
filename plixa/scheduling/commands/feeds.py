"""Secret addresses of iCalendar feeds: made, replaced and revoked."""

import secrets
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.identity.queries.members import find_member_name
from plixa.kernel.audit import record
from plixa.kernel.auth import Principal, hashed
from plixa.kernel.errors import Forbidden
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.queries.feeds import NewFeedView

KEEP: Final = """INSERT INTO calendar_feed (tenant_id, provider_id, token_hash, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, provider_id) DO UPDATE SET token_hash = excluded.token_hash, created_at = excluded.created_at"""
REVOKE: Final = "DELETE FROM calendar_feed WHERE tenant_id = $1 AND provider_id = $2"


class CreateFeed(Struct, frozen=True):
    """Whose calendar: one's own unless told otherwise, which the owner may."""

    provider_id: Annotated[int, Meta(ge=1)] | None = None


async def create_feed(uow: UnitOfWork, caller: Principal, public_url: str, provider: int | None) -> NewFeedView:
    """A new address; the one there was before ends. Raises Forbidden, NotFound."""
    number = whose(caller, provider)
    name, token = await find_member_name(uow, number), secrets.token_urlsafe(32)
    await uow.execute(KEEP, number, hashed(token), uow.now)
    await record(uow, "calendar_feed.created", ("calendar_feed", number))
    return NewFeedView(number, name, uow.now, f"{public_url.rstrip('/')}/v1/scheduling/feeds/{token}.ics")


async def revoke_feed(uow: UnitOfWork, caller: Principal, provider: int | None) -> None:
    """Nobody sees it any more; where there is none nothing happens. Raises Forbidden, NotFound."""
    number = whose(caller, provider)
    await find_member_name(uow, number)
    if await uow.execute(REVOKE, number) == "DELETE 1":
        await record(uow, "calendar_feed.revoked", ("calendar_feed", number))


def whose(caller: Principal, provider: int | None) -> int:
    """The member meant; raises Forbidden for somebody else's who is not the owner."""
    if provider is None or provider == caller.user_id:
        return caller.user_id
    if caller.role != "owner":
        raise Forbidden("Only the owner of the workspace can do this for somebody else.")
    return provider
