"""A number from its beginning to its end: adding, pairing, restarting, unlinking, removing."""

import secrets
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from plixa.kernel.audit import record
from plixa.kernel.auth import hashed
from plixa.kernel.errors import Conflict, NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings, derive
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork, working
from plixa.whatsapp.client import Gateway, InstanceMissing, Qr, Transient
from plixa.whatsapp.domain import ConnectionChanged, QrChanged
from plixa.whatsapp.domain.instance import Added, Heard, PhoneInstance
from plixa.whatsapp.queries import (
    CREATE_EFFECT,
    InstanceView,
    Stored,
    count_instances,
    find_known,
    get_number_limit,
    get_stored,
)

DELETE_EFFECT: Final = "whatsapp.delete_instance"
RECONCILE_EFFECT: Final = "whatsapp.reconcile"
SUBJECT: Final = "phone_instance"

INSERT: Final = """
INSERT INTO phone_instance (tenant_id, id, label, gateway_name, webhook_secret, status, created_at)
VALUES ($1, $2, $3, $4, $5, 'pending_qr', $6)
"""
SAVE: Final = """
UPDATE phone_instance SET status = $3::text, reason = $4, number = $5, profile_name = $6,
    connected_at = $7, disconnected_at = $8, removed_at = $9,
    qr = CASE WHEN $10::timestamptz IS NOT NULL THEN $11 WHEN $3::text = 'pending_qr' THEN qr END,
    pairing_code = CASE WHEN $10::timestamptz IS NOT NULL THEN $12 WHEN $3::text = 'pending_qr' THEN pairing_code END,
    qr_at = CASE WHEN $3::text = 'pending_qr' THEN coalesce($10::timestamptz, qr_at) END,
    last_webhook_at = coalesce($13::timestamptz, last_webhook_at)
WHERE tenant_id = $1 AND id = $2
"""
RENEW_SECRET: Final = "UPDATE phone_instance SET webhook_secret = $3 WHERE tenant_id = $1 AND id = $2"


class PhoneNumberLimitReached(Conflict):
    code = "PHONE_NUMBER_LIMIT_REACHED"
    default = "Your plan does not allow another WhatsApp number."


class NewInstance(Struct, frozen=True):
    """A number to be added; ``label`` is the workspace's own name for it."""

    label: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")] | None = None


class Target(Struct, frozen=True):
    """What the gateway has to know of a number: its name, and the secret its webhooks must carry."""

    gateway_name: str
    secret: str


async def add_instance(uow: UnitOfWork, settings: Settings, data: NewInstance) -> InstanceView:
    """Add a number, waiting for its pairing; the gateway hears of it after the commit."""
    await uow.begin(lock_of(f"{uow.tenant}/phone_instance"))
    limit = await get_number_limit(uow, settings)
    if await count_instances(uow) >= limit:
        raise PhoneNumberLimitReached(details={"limit": limit})
    number, name = await uow.number("phone_instance_number"), f"plx_{secrets.token_hex(8)}"
    await uow.execute(INSERT, number, data.label, name, hashed(webhook_secret(settings, name)), uow.now)
    async with uow.create(PhoneInstance(number=number)) as editor:
        editor.record(Added(name, data.label))
        create_at_gateway(uow, number, editor.version)
    await record(uow, "phone_instance.added", (SUBJECT, number), after={"label": data.label})
    return (await get_stored(uow, number)).view()


async def disconnect_instance(uow: UnitOfWork, gateway: Gateway, number: int) -> InstanceView:
    """Unlink a number; the next pairing needs a new scan. One the gateway has lost, or already closed, is fine."""
    stored = await look(uow, number)
    with suppress(InstanceMissing):
        await gateway.logout(stored.gateway_name)
    async with uow.edit(PhoneInstance, number) as editor:
        refuse_removed(editor.state)
        editor.record(editor.state.disconnect(uow.now))
        save(uow, editor.state)
    await note(uow, "phone_instance.disconnected", stored, editor.state)
    return stored.view(editor.state)


async def restart_instance(uow: UnitOfWork, gateway: Gateway, number: int) -> InstanceView:
    """Bounce the connection without unpairing; where the gateway has lost the number it is made again."""
    stored = await look(uow, number)
    told = await bounce(gateway, stored.gateway_name)
    async with uow.edit(PhoneInstance, number) as editor:
        refuse_removed(editor.state)
        if told is not None and told.state == "open":
            editor.record(editor.state.hear(ConnectionChanged(state="open"), Heard(uow.now)))
        else:
            editor.record(editor.state.begin_pairing(uow.now))
        save(uow, editor.state, qr=shown(told or Qr("close")))
    if told is None:
        create_at_gateway(uow, number, editor.version)
    await note(uow, "phone_instance.restarted", stored, editor.state)
    return stored.view(editor.state)


async def remove_instance(uow: UnitOfWork, number: int) -> None:
    """Give a number up: it no longer counts, its conversations stay, and the gateway forgets it."""
    async with uow.edit(PhoneInstance, number) as editor:
        state = editor.state
        refuse_removed(state)
        editor.record(state.remove(uow.now))
        save(uow, editor.state, removed_at=uow.now)
    payload = {"instance_id": number, "gateway_name": state.gateway_name}
    uow.enqueue(Effect(DELETE_EFFECT, str(number), payload, order=order_of(number)))
    await record(uow, "phone_instance.removed", (SUBJECT, number), {"status": state.status, "number": state.phone})


async def prepare_instance(uow: UnitOfWork, settings: Settings, number: int) -> Target | None:
    """What to tell the gateway; None for a removed number. After a change of the master key the secret is new."""
    known = await find_known(uow, number)
    if known is None:
        return None
    secret = webhook_secret(settings, known.gateway_name)
    if hashed(secret) != known.secret:
        await uow.execute(RENEW_SECRET, number, hashed(secret))
    return Target(known.gateway_name, secret)


async def hear_answer(uow: UnitOfWork, number: int, told: Qr) -> None:
    """Apply what the gateway answered when asked about the pairing."""
    await uow.begin()
    if told.state == "open":
        await hear(uow, number, ConnectionChanged(state="open"), Heard(uow.now))
    elif told.base64 or told.pairing_code:
        await hear(uow, number, shown(told), Heard(uow.now))


async def hear(uow: UnitOfWork, number: int, fact: ConnectionChanged | QrChanged, heard: Heard) -> bool:
    """Apply news of a number's connection; False when they change nothing."""
    async with uow.edit(PhoneInstance, number) as editor:
        before, version = editor.state, editor.version
        editor.record(before.hear(fact, heard))
        if editor.version == version:
            return False
        save(uow, editor.state, qr=fact if isinstance(fact, QrChanged) else None, heard_at=heard.at)
        since = before.missed_since(heard.at)
        if since is not None and editor.state.offline_since is None:
            uow.enqueue(catching_up(number, editor.version, since))
    return True


def catching_up(number: int, version: int, since: datetime, skip: int = 0) -> Effect:
    """Look for what was missed since then, once a reconnect; ``skip`` chats were looked through already."""
    payload = {"instance_id": number, "version": version, "since": since, "skip": skip}
    return Effect(RECONCILE_EFFECT, f"{number}:{version}:{skip}", payload, order=order_of(number))


def save(
    uow: UnitOfWork,
    state: PhoneInstance,
    *,
    qr: QrChanged | None = None,
    heard_at: datetime | None = None,
    removed_at: datetime | None = None,
) -> None:
    """Keep the state in the number's row. Once in a unit of work: one statement may not change a row twice."""
    new = qr if state.status == "pending_qr" else None
    uow.also(
        SAVE,
        state.number,
        state.status,
        state.reason,
        state.phone,
        state.profile_name,
        state.connected_at,
        state.disconnected_at,
        removed_at,
        uow.now if new else None,
        new.qr_base64 if new else None,
        new.pairing_code if new else None,
        heard_at,
    )


def shown(told: Qr) -> QrChanged:
    """What the gateway answered, as its webhooks would tell it."""
    return QrChanged(qr_base64=told.base64, pairing_code=told.pairing_code)


async def look(uow: UnitOfWork, number: int) -> Stored:
    """The number's row, read aside, so that no connection is held while the gateway thinks; raises NotFound."""
    async with working(uow.kernel, uow.tenant) as aside:
        return await get_stored(aside, number)


async def bounce(gateway: Gateway, gateway_name: str) -> Qr | None:
    """Restart, or begin a pairing where there is nothing to restart; None where the gateway has no such number."""
    try:
        return await gateway.restart(gateway_name)
    except InstanceMissing:
        return None
    except Transient:
        return await gateway.connect(gateway_name)


async def note(uow: UnitOfWork, action: str, stored: Stored, state: PhoneInstance) -> None:
    """Leave a trace of what a member did."""
    await record(uow, action, (SUBJECT, state.number), {"status": stored.status}, {"status": state.status})


def create_at_gateway(uow: UnitOfWork, number: int, version: int) -> None:
    """Have the gateway make the number; each version of its stream at most once."""
    effect = Effect(CREATE_EFFECT, f"{number}:{version}", {"instance_id": number}, order=order_of(number))
    uow.enqueue(effect)


def order_of(number: int) -> str:
    """What is done to one number at the gateway is done one after the other."""
    return f"phone_instance/{number}"


def refuse_removed(state: PhoneInstance) -> None:
    """A number that was removed does not exist; raises NotFound."""
    if state.is_removed:
        raise NotFound


def webhook_secret(settings: Settings, gateway_name: str) -> str:
    """What the webhooks of a number carry: derived, so that nothing secret is stored."""
    return derive(settings.secret_keys[0], f"gateway webhook/{gateway_name}").hex()
