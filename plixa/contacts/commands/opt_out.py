"""Who wants no broadcasts: by a word of their own, or because they said so otherwise. Replies and reminders are not concerned."""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from plixa.contacts.queries.identities import Identity, hold_contact
from plixa.kernel.audit import record
from plixa.kernel.uow import UnitOfWork

KEYWORD: Final = "keyword"
"""The reason of those who wrote one of the words that ``wish_of`` knows."""
WhyOut = Literal["asked", "complaint", "wrong_number", "legal", "other"]
WhyIn = Literal["asked", "consent", "mistake", "other"]
OUT: Final = """UPDATE contact SET opted_out_at = $3, opt_out_reason = $4
WHERE tenant_id = $1 AND id = $2 AND opted_out_at IS NULL AND erased_at IS NULL"""
IN: Final = """UPDATE contact SET opted_out_at = NULL, opt_out_reason = NULL
WHERE tenant_id = $1 AND id = $2 AND opted_out_at IS NOT NULL"""
RENEW: Final = """UPDATE contact SET opted_out_at = $3, opt_out_reason = $4 WHERE tenant_id = $1 AND id = $2 AND opted_out_at IS NOT NULL
AND EXISTS (SELECT FROM contact_merge WHERE tenant_id = $1 AND kept_id = $2 AND undone_at IS NULL)"""
KEEP: Final = """INSERT INTO opt_out_kept (tenant_id, pseudonym, opted_out_at, reason)
SELECT $1, p.pseudonym, o.opted_out_at, o.opt_out_reason FROM unnest($3::text[]) AS p(pseudonym) CROSS JOIN (
    SELECT opted_out_at, opt_out_reason FROM contact
    WHERE tenant_id = $1 AND id = ANY($2::bigint[]) AND opted_out_at IS NOT NULL AND merged_into IS NULL) o
ON CONFLICT DO NOTHING"""
RECALL: Final = "DELETE FROM opt_out_kept WHERE tenant_id = $1 AND pseudonym = ANY($2::text[]) RETURNING pseudonym, opted_out_at, reason"


class Wish(Struct, frozen=True):
    """Since when somebody wants no broadcasts, and why."""

    at: datetime
    reason: str | None


class OptOut(Struct, frozen=True):
    """Why: they asked for it, complained, are somebody else, the law says so, or another reason."""

    reason: WhyOut


async def opt_out(uow: UnitOfWork, contact: int, reason: str) -> bool:
    """No more broadcasts from now on; answers whether that is new. The caller leaves the proof: an event, or an entry."""
    return await uow.execute(OUT, contact, uow.now, reason) == "UPDATE 1"


async def renew_opt_out(uow: UnitOfWork, contact: int, reason: str) -> None:
    """Who wants no broadcasts because of somebody merged into them says so too: it stays when the two are parted."""
    await uow.execute(RENEW, contact, uow.now, reason)


async def opt_in(uow: UnitOfWork, contact: int) -> bool:
    """Broadcasts again; answers whether that is new. The caller leaves the proof: an event, or an entry."""
    return await uow.execute(IN, contact) == "UPDATE 1"


async def keep_opt_out(uow: UnitOfWork, identity: Identity) -> None:
    """Contacts go, not their wish: whoever has one of their addresses later wants no broadcasts either. No address is kept."""
    await uow.execute(KEEP, identity.contacts, [pseudonym_of(uow, alias) for alias in identity.aliases])


async def recall_opt_outs(uow: UnitOfWork, aliases: list[str]) -> dict[str, Wish]:
    """The addresses whose former owners wanted no broadcasts; the caller lets their contacts want it from now on."""
    names = {pseudonym_of(uow, alias): alias for alias in aliases}
    rows = await (await uow.begin()).fetch(RECALL, uow.tenant, list(names))
    return {names[row["pseudonym"]]: Wish(row["opted_out_at"], row["reason"]) for row in rows}


def pseudonym_of(uow: UnitOfWork, alias: str) -> str:
    """An address in a form that leads nobody to it."""
    return uow.kernel.vault.pseudonym(f"{uow.tenant}/{alias}")


async def exclude_contact(uow: UnitOfWork, contact: int, data: OptOut) -> None:
    """A member opts somebody out; raises NotFound, ContactErased."""
    await hold_contact(uow, contact)
    if await opt_out(uow, contact, data.reason):
        await record(uow, "contact.opted_out", ("contact", contact), after={"reason": data.reason})


async def include_contact(uow: UnitOfWork, contact: int, reason: WhyIn) -> None:
    """A member opts somebody in again; raises NotFound, ContactErased."""
    await hold_contact(uow, contact)
    if await opt_in(uow, contact):
        await record(uow, "contact.opted_in", ("contact", contact), after={"reason": reason})
