"""One's own account: name and language, being available, and where one is signed in."""

from datetime import timedelta
from functools import partial
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from plixa.identity.commands.sessions import end_sessions
from plixa.identity.domain import Locale, Text
from plixa.identity.queries.availability import FRESH, STANDING, TEAM
from plixa.kernel.audit import record
from plixa.kernel.auth import Principal
from plixa.kernel.errors import NotFound, Unauthenticated
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork

PULSE: Final = timedelta(seconds=15)
"""More heartbeats than one in this time are one, and so are more words of the same availability."""
HOLD: Final = "SELECT name, locale, is_available, available_set_at FROM member WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
UPDATE: Final = "UPDATE member SET name = $3, locale = $4 WHERE tenant_id = $1 AND id = $2"
SET_AVAILABLE: Final = "UPDATE member SET is_available = $3, available_set_at = $4 WHERE tenant_id = $1 AND id = $2"
BEAT: Final = """
UPDATE member m SET last_heartbeat_at = $3 FROM member old WHERE m.tenant_id = $1 AND m.id = $2 AND old.tenant_id = $1 AND old.id = $2
AND (m.last_heartbeat_at IS NULL OR m.last_heartbeat_at <= $4::timestamptz)
RETURNING old.is_available IS TRUE AND coalesce(old.last_heartbeat_at < $5::timestamptz, true)
    AND coalesce(old.available_set_at < $6::timestamptz, true)
"""
"""Were they available, and away until now?"""
END_SESSION: Final = "DELETE FROM access_token WHERE tenant_id = $1 AND member_id = $2 AND kind = 'panel' AND id = $3"


class AccountUpdate(Struct, frozen=True):
    """What members say of themselves; ``locale`` null lets the browser decide."""

    name: Text | UnsetType = UNSET
    locale: Locale | UnsetType | None = UNSET


class Availability(Struct, frozen=True):
    """Does the member take new conversations? Those they have stay theirs either way."""

    is_available: bool


async def update_account(uow: UnitOfWork, caller: Principal, data: AccountUpdate) -> None:
    """Change what was given and is different; everything that shows the member shows the new name."""
    present = await hold(uow, caller)
    wanted = {"name": data.name, "locale": data.locale}
    after = {field: value for field, value in wanted.items() if value is not UNSET and value != present[field]}
    if not after:
        return
    now = present | after
    await uow.execute(UPDATE, caller.user_id, now["name"], now["locale"])
    await record(uow, "member.updated", ("member", caller.user_id), {field: present[field] for field in after}, after)


async def set_availability(uow: UnitOfWork, caller: Principal, data: Availability) -> None:
    """Take new conversations, or take none."""
    present = await hold(uow, caller)
    before, since = present["is_available"], present["available_set_at"]
    if before is data.is_available and (not before or uow.now - since <= PULSE):
        return
    if data.is_available:
        call_waiting(uow, f"member/{caller.user_id}")
    await uow.execute(SET_AVAILABLE, caller.user_id, data.is_available, uow.now)
    uow.after_commit(partial(uow.kernel.recall.forget, (uow.tenant, TEAM, 0)))
    subject, after = ("member", caller.user_id), {"is_available": data.is_available}
    await record(uow, "member.availability_changed", subject, {"is_available": before}, after)


async def beat(uow: UnitOfWork, caller: Principal) -> None:
    """The member's panel is open now; staff who look through it are not the member."""
    if caller.impersonated_by is None:
        await uow.begin()
        if await uow.insert(BEAT, caller.user_id, uow.now, uow.now - PULSE, uow.now - FRESH, uow.now - STANDING):
            uow.after_commit(partial(uow.kernel.recall.forget, (uow.tenant, TEAM, 0)))
            call_waiting(uow, f"member/{caller.user_id}")


def call_waiting(uow: UnitOfWork, cause: str) -> None:
    """Somebody can take conversations now who could not before: those that wait for an assignee are looked at again."""
    uow.enqueue(Effect("automation.drain", f"{cause}/{uow.now.isoformat()}", order="automation.drain"))


async def end_session(uow: UnitOfWork, caller: Principal, number: int) -> None:
    """Sign the caller out where they signed in once; raises NotFound for what is no session of theirs."""
    if await uow.execute(END_SESSION, caller.user_id, number) != "DELETE 1":
        raise NotFound
    await record(uow, "session.ended", ("token", number))


async def end_other_sessions(uow: UnitOfWork, caller: Principal) -> None:
    """Sign the caller out everywhere but here, half-done sign-ins too."""
    await end_sessions(uow, caller.user_id, caller.token_id)
    if uow.wrote:
        await record(uow, "member.sessions_ended", ("member", caller.user_id))


async def hold(uow: UnitOfWork, caller: Principal) -> dict[str, Any]:
    """What the caller's account says, held until this unit of work ends; raises Unauthenticated when it was removed a moment ago."""
    connection = await uow.begin()
    row = await connection.fetchrow(HOLD, uow.tenant, caller.user_id)
    if row is None:
        raise Unauthenticated
    return dict(row)
