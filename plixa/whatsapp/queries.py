"""Numbers as members see them, the QR to scan, and whose number a webhook is about."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from plixa.identity.queries.plans import get_plan
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.errors import Conflict, NotFound
from plixa.kernel.recall import Recall
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.client import Gateway, InstanceMissing
from plixa.whatsapp.domain.instance import PhoneInstance

QR_LIVES: Final = timedelta(seconds=45)
SENTENCES: Final = {
    "closed": "WhatsApp closed the connection. Connect the number again.",
    "forbidden": "WhatsApp has restricted this number.",
    "logged_out": "The number was unlinked on the phone. Scan a new QR code.",
    "qr_limit": "Nobody scanned the QR code in time. Restart the number for a new one.",
    "temporarily_banned": "WhatsApp has banned this number for a while.",
    "timed_out": "The phone did not answer for too long. Scan a new QR code.",
    "unlinked": "WhatsApp unlinked the number. Scan a new QR code.",
}
"""What a reason means for a member; one of their own doing is no error."""

CREATE_EFFECT: Final = "whatsapp.create_instance"
COLUMNS: Final = """p.id, p.label, p.gateway_name, p.number, p.profile_name, p.status, p.reason,
p.qr, p.pairing_code, p.qr_at, p.connected_at, p.disconnected_at, p.created_at, o.state AS creation, o.error"""
STORED: Final = f"""SELECT {COLUMNS} FROM phone_instance p LEFT JOIN LATERAL (
    SELECT state, error FROM outbox WHERE tenant_id = p.tenant_id AND kind = '{CREATE_EFFECT}'
    AND key LIKE p.id || ':%' ORDER BY id DESC LIMIT 1
) o ON true WHERE p.tenant_id = scope.tenant AND p.removed_at IS NULL"""  # noqa: S608 - constants
USED: Final = """SELECT count(*) AS used FROM phone_instance
WHERE tenant_id = scope.tenant AND removed_at IS NULL"""
STATUS: Final = """SELECT status FROM phone_instance
WHERE tenant_id = scope.tenant AND id = $2 AND removed_at IS NULL"""
KNOWN: Final = "tenant_id, id, gateway_name, webhook_secret, number, removed_at IS NOT NULL AS is_removed, last_webhook_at"
BY_NAME: Final = f"""SELECT {KNOWN} FROM phone_instance WHERE gateway_name = $1"""  # noqa: S608 - constants
BY_ID: Final = f"""SELECT {KNOWN} FROM phone_instance
WHERE tenant_id = scope.tenant AND id = $2 AND removed_at IS NULL"""  # noqa: S608 - constants


class PhoneNotConnected(Conflict):
    code = "PHONE_NOT_CONNECTED"
    default = "This WhatsApp number is not connected. Connect it before sending."


class InstanceView(Struct, frozen=True):
    """A number. ``number`` in digits; ``reason`` is a code, ``last_error`` a sentence, both null while all is well."""

    id: int
    label: str | None
    number: str | None
    profile_name: str | None
    status: str
    reason: str | None
    last_error: str | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    created_at: datetime


class NumbersPage(Page, frozen=True):
    """All numbers at once: ``limit`` is how many the plan allows, ``used`` how many there are."""

    used: int


class QrView(Struct, frozen=True):
    """``qr_base64`` is a data URL; it and ``pairing_code`` are null while the gateway has none, or none is needed."""

    status: str
    qr_base64: str | None = None
    pairing_code: str | None = None
    expires_at: datetime | None = None


class Stored(Struct, frozen=True):
    """A row of a number; ``creation`` is the state of its effect at the gateway, ``error`` what it last met."""

    id: int
    label: str | None
    gateway_name: str
    number: str | None
    profile_name: str | None
    status: str
    reason: str | None
    qr: str | None
    pairing_code: str | None
    qr_at: datetime | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    created_at: datetime
    creation: str | None
    error: str | None

    def view(self, state: PhoneInstance | None = None) -> InstanceView:
        """As members see it; with ``state`` as a command has just left it."""
        now: Any = state or self
        error = SENTENCES.get(now.reason or "")
        if now.status == "pending_qr" and self.creation not in (None, "done"):
            error = self.error
        return InstanceView(
            self.id,
            self.label,
            state.phone if state else self.number,
            now.profile_name,
            now.status,
            now.reason,
            error,
            now.connected_at,
            now.disconnected_at,
            self.created_at,
        )


class KnownInstance(Struct, frozen=True):
    """Whose number a webhook is about; ``secret`` is the SHA-256 of what it must carry."""

    tenant: int
    id: int
    gateway_name: str
    secret: bytes
    number: str | None
    is_removed: bool
    heard_at: datetime | None

    @property
    def is_quiet(self) -> bool:
        """Nothing was heard for a minute: worth noting that something is now."""
        return self.heard_at is None or self.heard_at <= datetime.now(UTC) - timedelta(minutes=1)


class Instances:
    """Numbers by the gateway's name, remembered for half a second."""

    def __init__(self, system: Database) -> None:
        self._system = system
        self._known: Recall[str, KnownInstance] = Recall()
        self._turns: dict[str, asyncio.Lock] = {}

    async def find(self, gateway_name: str) -> KnownInstance | None:
        """The number, also one that was removed; None for a name we never gave. Who asks first is answered first."""
        async with self._turns.setdefault(gateway_name, asyncio.Lock()):
            return self._known.get(gateway_name) or await self._look_up(gateway_name)

    async def _look_up(self, gateway_name: str) -> KnownInstance | None:
        async with self._system.connection() as connection:
            row = await connection.fetchrow(BY_NAME, gateway_name)
        if row is None:
            self._turns.pop(gateway_name, None)
            return None
        return self._known.put(gateway_name, KnownInstance(*row))


async def list_instances(uow: UnitOfWork, settings: Settings) -> tuple[list[InstanceView], NumbersPage]:
    """Every number of the workspace, oldest first."""
    views = [Stored(*row).view() for row in await uow.fetch(f"{STORED} ORDER BY p.id")]
    return views, NumbersPage(None, await get_number_limit(uow, settings), len(views))


async def get_instance(uow: UnitOfWork, number: int) -> InstanceView:
    """One number; raises NotFound."""
    return (await get_stored(uow, number)).view()


async def get_stored(uow: UnitOfWork, number: int) -> Stored:
    """One number's row; raises NotFound."""
    row = await uow.fetchrow(f"{STORED} AND p.id = $2", number)
    if row is None:
        raise NotFound
    return Stored(*row)


async def get_qr(uow: UnitOfWork, gateway: Gateway, number: int) -> QrView:
    """What to scan now: what the gateway told last, or what it says when asked, which also begins a new pairing."""
    stored = await get_stored(uow, number)
    uow.close()
    if stored.status == "connected":
        return QrView(stored.status)
    if stored.qr and stored.qr_at and stored.qr_at > datetime.now(UTC) - QR_LIVES:
        return QrView(stored.status, stored.qr, stored.pairing_code, stored.qr_at + QR_LIVES)
    try:
        told = await gateway.connect(stored.gateway_name)
    except InstanceMissing:
        if stored.creation not in ("waiting", "running"):
            raise
        return QrView(stored.status)
    if told.state == "open":
        return QrView("connected")
    expires_at = datetime.now(UTC) + QR_LIVES if told.base64 else None
    return QrView("pending_qr", told.base64, told.pairing_code, expires_at)


async def get_number_limit(uow: UnitOfWork, settings: Settings) -> int:
    """How many numbers the workspace's plan allows."""
    plan = await get_plan(uow, settings)
    return plan.limits.get("whatsapp_numbers", 0)


async def count_instances(uow: UnitOfWork) -> int:
    """How many numbers the workspace has."""
    row = await uow.fetchrow(USED)
    return int(row["used"]) if row else 0


async def find_known(uow: UnitOfWork, number: int) -> KnownInstance | None:
    """A number as its webhooks see it; None for one that was removed."""
    row = await uow.fetchrow(BY_ID, number)
    return KnownInstance(*row) if row else None


async def refuse_disconnected(uow: UnitOfWork, number: int) -> None:
    """Nothing can be sent from a number that is not connected; raises PhoneNotConnected."""
    key = (uow.tenant, "phone_instance.status", number)
    status = uow.kernel.recall.get(key)
    if status is None:
        row = await uow.fetchrow(STATUS, number)
        status = uow.kernel.recall.put(key, row["status"] if row else "removed")
    if status != "connected":
        uow.kernel.recall.forget(key)
        raise PhoneNotConnected
