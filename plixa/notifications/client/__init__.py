"""Sending e-mail: the protocol, its failures, and three ways: Resend, an SMTP server, the local mailbox."""

from plixa.kernel.settings import Settings
from plixa.notifications.client.mailer import LocalMailbox, MailDelayed, Mailer, MailError, MailRefused, MailStopped, OutboundMail
from plixa.notifications.client.resend import ResendMailer
from plixa.notifications.client.smtp import SmtpMailer

__all__ = [
    "LocalMailbox",
    "MailDelayed",
    "MailError",
    "MailRefused",
    "MailStopped",
    "Mailer",
    "OutboundMail",
    "ResendMailer",
    "SmtpMailer",
    "create_mailer",
]


def create_mailer(settings: Settings) -> Mailer:
    """Resend where it has a key, else the SMTP server that is named, else the local mailbox."""
    if settings.resend_api_key and settings.mail_from:
        return ResendMailer(settings.resend_api_base, settings.resend_api_key, settings.mail_from, settings.mail)
    if settings.smtp_url and settings.mail_from:
        return SmtpMailer(settings.smtp_url, settings.mail_from, settings.mail, secure=settings.environment == "production")
    return LocalMailbox()
