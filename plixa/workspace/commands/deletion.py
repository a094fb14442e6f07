"""The end of a workspace: asked for with a password, cancellable for thirty days, then its keys and rows are destroyed.

Its log stays, unreadable: a chain that still verifies is all that tells of it.
"""

from datetime import timedelta
from typing import Annotated, Any, Final

import asyncpg
from msgspec import Meta, Struct

from plixa.identity.commands.sessions import Entrance, prove_password
from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.delivery import Delivery
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.passwords import LONGEST
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.workspace.commands.settings import alone
from plixa.workspace.queries.deletion import TABLES, find_owner, get_deletion, list_calendars, list_gateway_names

GRACE: Final = timedelta(days=30)
FAREWELL: Final = timedelta(minutes=10)
"""How long the gateway has to forget the numbers before what names them is gone."""
PURGE: Final = "workspace.purge"
DESTROY: Final = "workspace.destroy"
SCHEDULE: Final = """UPDATE tenant SET deletion_requested_at = $2, deletion_requested_by = $3, purge_at = $4
WHERE tenant_id = $1 AND purge_at IS NULL"""
CANCEL: Final = """UPDATE tenant SET deletion_requested_at = NULL, deletion_requested_by = NULL, purge_at = NULL
WHERE tenant_id = $1 AND purge_at IS NOT NULL AND purge_at > $2"""
KEYS: Final = ("DELETE FROM stream_key WHERE tenant_id = $1", "DELETE FROM snapshot WHERE tenant_id = $1")
KEPT: Final = ["event", "log_head"]
"""What is append-only: ciphertext without a key, and its chain."""
LAST: Final = ["outbox", "member", "tenant"]
"""What tells that there is still something to destroy, and whom to tell of it, goes last, together."""


class DeleteWorkspace(Struct, frozen=True):
    """The owner's current password."""

    password: Annotated[str, Meta(max_length=LONGEST)]


async def schedule_deletion(uow: UnitOfWork, entrance: Entrance, data: DeleteWorkspace) -> None:
    """In thirty days everything is gone; from now on nothing is sent. Asked again it stays as it was."""
    await prove_password(uow, entrance, data.password)
    await alone(uow)
    owner = await find_owner(uow)
    purge_at = uow.now + GRACE
    if await uow.execute(SCHEDULE, uow.now, uow.principal.user_id if uow.principal else None, purge_at) != "UPDATE 1":
        return
    uow.enqueue(Effect(PURGE, purge_at.isoformat(), due_at=purge_at))
    values = {**names(owner), "purge_at": purge_at, "link": f"{entrance.settings.public_url}/settings/deletion"}
    mail = Mail("deletion_scheduled", owner["email"], owner["locale"], values, owner["timezone"])
    send_mail(uow, f"deletion_scheduled/{purge_at.isoformat()}", mail)
    await record(uow, "deletion.scheduled", ("tenant", uow.tenant), after={"purge_at": purge_at.isoformat()})


async def cancel_deletion(uow: UnitOfWork) -> None:
    """The workspace goes on; where nothing was scheduled nothing happens."""
    await alone(uow)
    before = await get_deletion(uow)
    if await uow.execute(CANCEL, uow.now) != "UPDATE 1":
        return
    owner = await find_owner(uow)
    send_mail(uow, f"deletion_cancelled/{uow.now.isoformat()}", Mail("deletion_cancelled", owner["email"], owner["locale"], names(owner)))
    await record(uow, "deletion.cancelled", ("tenant", uow.tenant), {"purge_at": before.purge_at.isoformat() if before.purge_at else None})


async def say_farewell(uow: UnitOfWork, delivery: Delivery) -> None:
    """The day has come: have the gateway forget the numbers and Google us, then destroy the rest. Not where it was cancelled."""
    await alone(uow)
    owner = await find_owner(uow)
    if owner is not None and owner["purge_at"] is not None and owner["purge_at"] <= uow.now:
        for number, name in await list_gateway_names(uow):
            payload = {"instance_id": number, "gateway_name": name}
            uow.enqueue(Effect("whatsapp.delete_instance", f"farewell/{number}", payload, order=f"phone_instance/{number}"))
        for number in await list_calendars(uow):
            about = {"link_id": number, "at": uow.now.isoformat()}
            uow.enqueue(Effect("scheduling.leave_calendar", f"farewell/{number}", about))
        uow.enqueue(Effect(DESTROY, delivery.key, due_at=uow.now + FAREWELL))
    await delivery.done(uow)


async def destroy_workspace(delivery: Delivery) -> None:
    """First the keys, so that nothing is readable any more; then every row. Begun again it goes on where it was."""
    async with delivery.unit() as uow:
        owner = await find_owner(uow)
    if owner is None or owner["purge_at"] is None:
        return
    kernel, tenant = delivery.kernel, delivery.tenant
    async with kernel.system.transaction() as connection:
        for statement in KEYS:
            await connection.execute(statement, tenant)
    await kernel.media.clear(tenant)
    async with kernel.system.connection() as connection:
        tables = [table for table in in_order(await connection.fetch(TABLES, KEPT)) if table not in LAST]
        for table in tables:
            await empty(connection, table, tenant)
    await tell_of_the_end(kernel, tenant, owner)
    async with kernel.system.transaction() as connection:
        for table in [*tables, *LAST]:  # all once more: until now there was somebody who could sign in, and leave an entry
            await empty(connection, table, tenant)


async def empty(connection: "asyncpg.Connection[Any]", table: str, tenant: int) -> None:
    """Delete a workspace's rows of a table of the catalog, however long it takes."""
    await connection.execute(f"DELETE FROM {table} WHERE tenant_id = $1", tenant, timeout=3600)  # noqa: S608


async def tell_of_the_end(kernel: Kernel, tenant: int, owner: Any) -> None:
    """In the platform's log, and to whoever owned it."""
    async with working(kernel, PLATFORM, request_id=f"purge-{tenant}") as uow:

        async def tell() -> None:
            send_mail(uow, f"deletion_done/{tenant}", Mail("deletion_done", owner["email"], owner["locale"], names(owner)))
            await record(uow, "tenant.purged", ("tenant", tenant))

        await perform(uow, tell)


def in_order(tables: list[Any]) -> list[str]:
    """Tables so that each comes before those it refers to."""
    waiting = {row["name"]: set(row["refers"]) for row in tables}
    ordered: list[str] = []
    while waiting:
        free = sorted(name for name in waiting if not any(name in refers for other, refers in waiting.items() if other != name))
        ordered += free
        for name in free:
            del waiting[name]
    return ordered


def names(owner: Any) -> dict[str, str]:
    """Who is written to, and about which workspace."""
    return {"name": owner["name"], "workspace": owner["workspace"]}
