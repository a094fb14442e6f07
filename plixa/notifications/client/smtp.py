"""Any SMTP server. Credentials and mails cross a network only behind TLS; a repeated attempt has the same ``Message-ID``."""

from email.message import EmailMessage
from email.policy import Policy
from email.utils import formatdate, parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from plixa.kernel.settings import LOOPBACK, Mailing
from plixa.notifications.client.mailer import MailDelayed, MailError, MailRefused, MailStopped, OutboundMail

PORTS: Final = {"smtp": 587, "smtps": 465}


class Unbroken(str):
    """A header that stays on one line: a long address in it would be encoded word by word, and no longer be one."""

    __slots__ = ("name",)
    name: str

    @classmethod
    def header(cls, name: str, value: str) -> "Unbroken":
        """A ValueError where it has more than one line."""
        if len(value.splitlines()) != 1 or not value.isascii():
            raise ValueError(f"This cannot stand in the header {name}: {value!r}")
        self = cls(value)
        self.name = name
        return self

    def fold(self, *, policy: Policy) -> str:
        """As it is written, which ``email`` asks for."""
        return f"{self.name}: {self}{policy.linesep}"


class SmtpMailer:
    """One server, named as ``smtp://user:password@host:587`` or ``smtps://``.

    ``smtp:`` begins in the clear and goes on behind TLS (STARTTLS). A server on this machine is spoken to without; one that offers
    no TLS is refused where ``secure``, and else borne with: a development server seldom has a certificate.
    """

    name = "smtp"
    keeps = False

    def __init__(self, url: str, sender: str, mailing: Mailing, *, secure: bool) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port or PORTS[parts.scheme]
        self._username, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._tls = parts.scheme == "smtps"
        self._start_tls = False if self._tls or self._host in LOOPBACK else secure or None
        self._sender, self._seconds = sender, mailing.timeout_seconds

    async def send(self, mail: OutboundMail) -> str:
        message = self._message(mail)
        try:
            async with self._session() as session:
                await session.send_message(message)
        except (SMTPException, OSError) as error:
            raise failure(error) from error
        return str(message["Message-ID"])

    async def check(self) -> None:
        try:
            async with self._session() as session:
                await session.noop()
        except (SMTPException, OSError) as error:
            raise failure(error) from error

    def _session(self) -> aiosmtplib.SMTP:
        """A connection, signed in."""
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username or None,
            password=self._password or None,
            use_tls=self._tls,
            start_tls=self._start_tls,
            timeout=self._seconds,
        )

    def _message(self, mail: OutboundMail) -> EmailMessage:
        message, sender = EmailMessage(), mail.sender or self._sender
        message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = f"<{mail.id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        for name, value in mail.headers.items():
            message[name] = Unbroken.header(name, value)
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        for name, content in mail.pictures.items():
            page = message.get_body(("related", "html"))
            if page is not None:
                page.add_related(content, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")
        return message


def failure(error: SMTPException | OSError) -> MailError:
    """What the server's refusal means. Only what it says of this address or this content is for good."""
    if isinstance(error, SMTPRecipientsRefused):
        first = error.recipients[0]
        return _by_code(first.code, f"The mail server answered {first.code}: {first.message}")
    if isinstance(error, SMTPResponseException):
        reason = f"The mail server answered {error.code}: {error.message}"
        about_us = not isinstance(error, SMTPDataError) and error.code >= 500
        return MailStopped(reason) if about_us else _by_code(error.code, reason)
    if isinstance(error, SMTPNotSupported):
        return MailRefused(f"The mail server cannot take this mail: {error}")
    if isinstance(error, OSError):
        return MailDelayed(f"The mail server cannot be reached: {error}")
    return MailStopped(f"The mail server cannot be used: {error}")


def _by_code(code: int, reason: str) -> MailError:
    return MailRefused(reason) if code >= 500 else MailDelayed(reason)
