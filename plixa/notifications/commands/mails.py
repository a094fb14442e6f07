"""Which mails went out. Their content is kept, sealed, only where nobody but the local mailbox took it."""

import random
import re
from typing import Final

import msgspec

from plixa.kernel.uow import UnitOfWork
from plixa.notifications.client import MailDelayed, Mailer, MailError, OutboundMail
from plixa.notifications.domain import BadAddress
from plixa.notifications.queries.mailbox import KeptLetter, place_of_content

WAITS: Final = (60, 300, 900, 3600, 14400)
"""Seconds after each attempt; the last one is not followed by another."""
INSERT: Final = """INSERT INTO mail (tenant_id, key, template, recipient, state, mailer, provider_id, error, content)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""


async def keep_mail(uow: UnitOfWork, mailer: Mailer, key: str, mail: OutboundMail, provider_id: str) -> None:
    """Note a mail that was taken."""
    content = seal_content(uow, key, mail) if mailer.keeps else None
    await uow.execute(INSERT, key, mail.template, mail.to.lower(), "sent", mailer.name, provider_id, None, content)


def seal_content(uow: UnitOfWork, key: str, mail: OutboundMail) -> bytes:
    """A mail's content as the mailbox keeps it."""
    letter = msgspec.json.encode(KeptLetter(mail.subject, mail.text, mail.html, mail.pictures))
    return uow.kernel.vault.seal(letter, place_of_content(uow.tenant, key))


def pause(attempt: int, error: MailDelayed) -> float:
    """Seconds until the next attempt: 1, 5, 15 and 60 minutes, or as long as the provider asked for, and up to a fifth more."""
    return max(error.seconds, WAITS[attempt - 1]) * random.uniform(1.0, 1.2)  # noqa: S311


def without(address: str, error: MailError | BadAddress) -> str:
    """What went wrong, without the address: it is logged, and stands in the outbox."""
    return re.sub(re.escape(address), "the recipient", str(error), flags=re.IGNORECASE) if address else str(error)
