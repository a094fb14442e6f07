"""E-mail as any module asks for it: a template and its values, sent by ``plixa.notifications`` once the command is committed.

The whole mail travels sealed: an outbox row is kept for days, and a link that resets a password must not stand readable in it.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.crypto import Vault
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork

MAIL_EFFECT: Final = "mail.send"
LONGEST_KEY: Final = 200
"""Characters: the provider takes 256, in which the tenant is named too."""
VALUES: Final[Mapping[str, frozenset[str]]] = {
    "invitation": frozenset({"inviter", "workspace", "link", "expires_at"}),
    "password_reset": frozenset({"name", "link"}),
    "password_changed": frozenset({"name"}),
    "two_factor_enabled": frozenset({"name"}),
    "two_factor_disabled": frozenset({"name"}),
    "recovery_codes_regenerated": frozenset({"name"}),
    "recovery_code_revoked": frozenset({"name"}),
    "recovery_code_used": frozenset({"name", "left"}),
    "api_token_created": frozenset({"name", "workspace", "token_name"}),
    "deletion_scheduled": frozenset({"name", "workspace", "purge_at", "link"}),
    "deletion_cancelled": frozenset({"name", "workspace"}),
    "deletion_done": frozenset({"name", "workspace"}),
    "workspace_suspended": frozenset({"name", "workspace", "reason"}),
    "workspace_reactivated": frozenset({"name", "workspace"}),
    "member_removed": frozenset({"name", "workspace"}),
    "support_access": frozenset({"name", "workspace", "staff", "reason", "started_at"}),
    "waitlist_welcome": frozenset(),
    "new_sign_in": frozenset({"name", "failures", "signed_in_at", "address", "agent"}),
    "ticket_answered": frozenset({"name", "ticket", "staff", "excerpt", "link"}),
    "ticket_news": frozenset({"name", "workspace", "ticket", "author", "excerpt", "link"}),
    "calendar_lost": frozenset({"name", "workspace"}),
    "digest": frozenset({"name", "workspace", "period", "opened", "reopened", "closed", "received", "sent", "answers", "answer_time"}),
}
"""Every template, and the values it shows; those that end in ``_at`` are datetimes."""


class Mail(Struct, frozen=True):
    """One mail to one address; times are shown in ``zone``, ``pictures`` (PNG, by name) in its HTML."""

    template: str
    to: str
    locale: str
    values: dict[str, Any] = {}
    zone: str = "UTC"
    pictures: dict[str, bytes] = {}


def send_mail(uow: UnitOfWork, key: str, mail: Mail) -> None:
    """Have a mail sent once this is committed; another with the same ``key`` in this tenant is not sent."""
    uow.enqueue(mail_effect(uow.kernel.vault, uow.tenant, key, mail))


def mail_effect(vault: Vault, tenant: int, key: str, mail: Mail) -> Effect:
    """The effect that sends it; a ValueError when the template does not exist or is given other values than its own."""
    if not 0 < len(key) <= LONGEST_KEY:
        raise ValueError(f"The key of a mail has 1 to {LONGEST_KEY} characters: {key}")
    if mail.template not in VALUES:
        raise ValueError(f"There is no template {mail.template}.")
    if odd := VALUES[mail.template] ^ mail.values.keys():
        raise ValueError(f"The template {mail.template} lacks or does not know: {', '.join(sorted(odd))}.")
    sealed = vault.seal(msgspec.json.encode(mail), place_of_mail(tenant, key))
    return Effect(MAIL_EFFECT, key, {"template": mail.template, "sealed": base64.b64encode(sealed).decode()})


def open_mail(vault: Vault, tenant: int, key: str, payload: Mapping[str, Any]) -> Mail:
    """The mail of an effect's payload; raises Unreadable."""
    sealed = vault.open(base64.b64decode(payload["sealed"]), place_of_mail(tenant, key))
    mail = msgspec.json.decode(sealed, type=Mail)
    times = {name: datetime.fromisoformat(value) for name, value in mail.values.items() if name.endswith("_at")}
    return msgspec.structs.replace(mail, values=mail.values | times)


def place_of_mail(tenant: int, key: str) -> str:
    """Where a mail belongs, as the vault seals it."""
    return f"mail/{tenant}/{key}"
