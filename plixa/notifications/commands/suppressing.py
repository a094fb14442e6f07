"""Whom nobody writes to again: because they said so, because their address does not exist, or because they complained."""

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.crypto import Unreadable, Vault
from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.queries.suppressions import pseudonym_of

KEEP: Final = """INSERT INTO mail_suppression (tenant_id, pseudonym, reason, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, pseudonym) DO UPDATE SET reason = excluded.reason
WHERE mail_suppression.reason = 'unsubscribed' AND excluded.reason <> 'unsubscribed'"""
"""Who complains after they unsubscribed has complained."""
PLACE: Final = "unsubscribe"
LONGEST_TOKEN: Final = 1_000
"""Characters; an address has 320."""


class Reader(Struct, frozen=True, array_like=True):
    """Whom a link to unsubscribe is for."""

    address: str
    locale: str


def unsubscribe_token(vault: Vault, reader: Reader) -> str:
    """What stands in a reader's link. It needs no row of ours, tells nobody the address, and cannot be made by anybody else."""
    return base64.urlsafe_b64encode(vault.seal(msgspec.json.encode(reader), PLACE)).rstrip(b"=").decode()


def read_token(vault: Vault, token: str) -> Reader:
    """Whom a link was made for; raises NotFound."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise NotFound
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(vault.open(sealed, PLACE), type=Reader)
    except (binascii.Error, Unreadable) as error:
        raise NotFound from error


async def suppress(uow: UnitOfWork, address: str, reason: str) -> bool:
    """Never write to an address again; answers whether that is new. ``uow`` is the platform's."""
    return await uow.execute(KEEP, pseudonym_of(uow.kernel.vault, address), reason, uow.now) == "INSERT 0 1"


async def unsubscribe(uow: UnitOfWork, reader: Reader) -> None:
    """Somebody wants no more news; once is enough. The entry does not say who."""
    if await suppress(uow, reader.address, "unsubscribed"):
        await record(uow, "mail.unsubscribed", ("tenant", PLATFORM))
