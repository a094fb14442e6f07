"""Addresses that are never written to again, except about their own account."""

from collections.abc import Iterable
from typing import Final

from plixa.kernel.crypto import Vault
from plixa.kernel.uow import UnitOfWork

SUPPRESSED: Final = "SELECT pseudonym FROM mail_suppression WHERE tenant_id = scope.tenant AND pseudonym = ANY($2::text[])"

AT_AN_END: Final = """SELECT FROM mail_suppression
WHERE tenant_id = scope.tenant AND pseudonym = $2 AND reason <> 'unsubscribed'"""


async def is_at_an_end(uow: UnitOfWork, address: str) -> bool:
    """Did an address bounce for good, or complain, rather than only want no campaigns? ``uow`` is the platform's."""
    return await uow.fetchrow(AT_AN_END, pseudonym_of(uow.kernel.vault, address)) is not None


async def list_suppressed(uow: UnitOfWork, addresses: Iterable[str]) -> set[str]:
    """Those of the addresses; ``uow`` is the platform's."""
    names = {pseudonym_of(uow.kernel.vault, address): address for address in addresses}
    return {names[row["pseudonym"]] for row in await uow.fetch(SUPPRESSED, list(names))}


def pseudonym_of(vault: Vault, address: str) -> str:
    """An address in a form that leads nobody to it, and that outlives it."""
    return vault.pseudonym(f"mail/{address.strip().lower()}")
