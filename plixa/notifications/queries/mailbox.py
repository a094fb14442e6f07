"""The local mailbox as it is read: mails that reached nobody, newest first."""

import base64
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.paging import Paging
from plixa.kernel.settings import LOOPBACK, Settings
from plixa.kernel.uow import Kernel

NEWEST: Final = """SELECT tenant_id, id, key, template, recipient, content, created_at FROM mail
WHERE content IS NOT NULL AND id < $1 ORDER BY id DESC LIMIT $2"""
NEWEST_TO_ONE: Final = """SELECT tenant_id, id, key, template, recipient, content, created_at FROM mail
WHERE content IS NOT NULL AND id < $1 AND recipient = $3 ORDER BY id DESC LIMIT $2"""
LAST: Final = 2**63 - 1


class KeptLetter(Struct, frozen=True):
    """What the mailbox keeps of a mail, sealed: its links let people in."""

    subject: str
    text: str
    html: str
    pictures: dict[str, bytes] = {}

    @property
    def page(self) -> str:
        """The HTML with its pictures in it."""
        page = self.html
        for name, content in self.pictures.items():
            page = page.replace(f'src="cid:{name}"', f'src="data:image/png;base64,{base64.b64encode(content).decode()}"')
        return page


class MailView(Struct, frozen=True):
    """A mail that would have been sent; ``tenant_id`` 0 is Plixa itself."""

    id: int
    tenant_id: int
    template: str
    to: str
    subject: str
    text: str
    html: str
    created_at: datetime


def refuse_strangers(settings: Settings, host: str | None) -> None:
    """The mailbox is open to whoever sits at this machine, and to nobody else; raises NotFound.

    Its links let people in, and nobody signs in to read them: so not in production, not where mails are sent, not where Plixa listens to a
    network or has a public address, and not under another name (``host``), which a foreign page in a browser could have made to lead here.
    """
    is_ours = {settings.host, urlsplit(settings.public_url).hostname, host} <= LOOPBACK
    is_sent = settings.resend_api_key is not None or settings.smtp_url is not None
    if settings.environment == "production" or is_sent or not is_ours:
        raise NotFound


async def list_mailbox(kernel: Kernel, paging: Paging, to: str | None) -> tuple[list[MailView], Page]:
    """Mails of every workspace, or those to one address."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor else LAST
    async with kernel.system.connection() as connection:
        more = () if to is None else (to.lower(),)
        rows = await connection.fetch(NEWEST_TO_ONE if more else NEWEST, before, paging.limit + 1, *more)
    shown = rows[: paging.limit]
    cursor = encode((shown[-1]["id"],)) if len(rows) > paging.limit else None
    views = []
    for row in shown:
        place = place_of_content(row["tenant_id"], row["key"])
        letter = msgspec.json.decode(kernel.vault.open(row["content"], place), type=KeptLetter)
        about = (row["id"], row["tenant_id"], row["template"], row["recipient"])
        views.append(MailView(*about, letter.subject, letter.text, letter.page, row["created_at"]))
    return views, Page(cursor, paging.limit)


def place_of_content(tenant: int, key: str) -> str:
    """Where a mail's content belongs, as the vault seals it."""
    return f"mail/content/{tenant}/{key}"
