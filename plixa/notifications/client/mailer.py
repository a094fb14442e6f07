"""What sends mail, and how that fails: the name of an error says what becomes of the mail."""

import logging
from typing import ClassVar, Protocol

from msgspec import Struct


class OutboundMail(Struct, frozen=True):
    """A mail as it leaves. ``id`` is the same at every attempt: a provider that has it already does not send it again.

    Its HTML shows ``pictures``, which are PNG, as ``cid:`` and their name. ``tags`` come back with what the provider tells of it later;
    ``sender`` is only named where it is not the usual one.
    """

    id: str
    to: str
    template: str
    subject: str
    text: str
    html: str
    pictures: dict[str, bytes] = {}
    headers: dict[str, str] = {}
    tags: dict[str, str] = {}
    sender: str | None = None


class MailError(Exception):
    """It was not sent; the sentence says why."""

    LEVEL: ClassVar[int] = logging.WARNING


class MailRefused(MailError):
    """This mail will never be taken: the address does not exist, or its content is refused."""


class MailDelayed(MailError):
    """Not now, but perhaps in ``seconds`` or later."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class MailStopped(MailDelayed):
    """No mail goes out until somebody acts: a wrong key or password, an exhausted quota, a server without TLS."""

    LEVEL = logging.ERROR


class Mailer(Protocol):
    """One way to send mail. ``keeps`` says that a mail goes no further than our own database."""

    name: str
    keeps: bool

    async def send(self, mail: OutboundMail) -> str:
        """The provider's id of the mail it took; raises MailError."""

    async def check(self) -> None:
        """Raises MailError where a mail could not be sent now."""


class LocalMailbox:
    """Reaches nobody: the content is kept with the mail's row, for ``GET /v1/dev/mailbox``."""

    name = "local"
    keeps = True

    async def send(self, mail: OutboundMail) -> str:
        return mail.id

    async def check(self) -> None:
        return None
