"""Browsers come and go, and are told of what happens. A browser's subscription lasts as long as the session that made it."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.auth import Principal
from plixa.kernel.egress import ForbiddenAddress
from plixa.kernel.errors import Invalid
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.notifications.client.push import Browser, check_endpoint, is_point, is_secret, new_key
from plixa.notifications.queries.push import PLACE_OF_KEY, Hearer, find_key, find_subscription, open_browser, seal_browser

PUSH: Final = "push.send"
MOST: Final = 20
"""Browsers of one member; a newer one takes the place of the oldest."""
COALESCED: Final = 10
"""Seconds in which a browser is told of one thing once."""
KEEP_KEY: Final = "INSERT INTO push_key (tenant_id, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING"
LEAVE_OTHERS: Final = "SELECT leave_other_tenants($2) WHERE $1::bigint IS NOT NULL"
SUBSCRIBE: Final = """INSERT INTO push_subscription (tenant_id, member_id, token_id, endpoint_hash, endpoint_host, sealed, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, endpoint_hash) DO UPDATE SET member_id = excluded.member_id,
token_id = excluded.token_id, sealed = excluded.sealed, failures = 0, failing_since = NULL RETURNING id"""
CROWD_OUT: Final = """DELETE FROM push_subscription WHERE tenant_id = $1 AND member_id = $2 AND id <= (
SELECT id FROM push_subscription WHERE tenant_id = $1 AND member_id = $2 ORDER BY id DESC OFFSET $3 LIMIT 1)"""
UNSUBSCRIBE: Final = "DELETE FROM push_subscription WHERE tenant_id = $1 AND id = $2"

Endpoint = Annotated[str, Meta(min_length=1, max_length=2048)]


class PushKeys(Struct, frozen=True):
    """The browser's public key and its secret, in base64url."""

    p256dh: Annotated[str, Meta(max_length=128)]
    auth: Annotated[str, Meta(max_length=64)]


class Subscribe(Struct, frozen=True):
    """A PushSubscription as the browser gives it; one without keys can only be told that there is something."""

    endpoint: Endpoint
    keys: PushKeys | UnsetType = UNSET
    content_encoding: Annotated[str, Meta(max_length=32)] | None = None


class Unsubscribe(Struct, frozen=True):
    endpoint: Endpoint


async def obtain_key(kernel: Kernel) -> bytes:
    """Our private key, the same for ever: made when it is first asked for."""
    key = await find_key(kernel)
    if key is not None:
        return key
    async with working(kernel, PLATFORM) as uow:
        await perform(uow, lambda: uow.execute(KEEP_KEY, kernel.vault.seal(new_key(), PLACE_OF_KEY)))
    return await obtain_key(kernel)


async def subscribe(uow: UnitOfWork, settings: Settings, caller: Principal, data: Subscribe) -> int:
    """Tell this browser from now on; it is the caller's, whosever it was. Answers its id; raises Invalid."""
    browser, host = browser_of(data), refuse_bad(settings, data)
    await uow.begin()
    digest = sha256(data.endpoint.encode()).digest()
    known = await find_subscription(uow, digest)
    mine = (caller.user_id, caller.token_id)
    if known and (known["member_id"], known["token_id"]) == mine and open_browser(uow, digest, known["sealed"]) == browser:
        return int(known["id"])
    await uow.execute(LEAVE_OTHERS, digest)
    number: int = await uow.insert(SUBSCRIBE, *mine, digest, host, seal_browser(uow, digest, browser), uow.now)
    await uow.execute(CROWD_OUT, caller.user_id, MOST)
    action = "push_subscription.renewed" if known else "push_subscription.created"
    await record(uow, action, ("push_subscription", number), after={"endpoint_host": host})
    return number


async def unsubscribe(uow: UnitOfWork, caller: Principal, data: Unsubscribe) -> None:
    """Tell this browser no longer; where it is not the caller's nothing happens."""
    known = await find_subscription(uow, sha256(data.endpoint.encode()).digest())
    if known and known["member_id"] == caller.user_id and await uow.execute(UNSUBSCRIBE, known["id"]) == "DELETE 1":
        before = {"endpoint_host": known["endpoint_host"]}
        await record(uow, "push_subscription.removed", ("push_subscription", known["id"]), before=before)


def tell(uow: UnitOfWork, hearer: Hearer, about: str, at: datetime, place: dict[str, int]) -> None:
    """Have all browsers of somebody told what happened where, once in a few seconds: ``about`` names who writes the notice."""
    where = "/".join(f"{name}/{number}" for name, number in place.items() if name != "message_id")
    payload: dict[str, Any] = {"about": about, "at": at, **place}
    for device in hearer.devices:
        key = f"{where}/{int(at.timestamp()) // COALESCED}/{device}"
        uow.enqueue(Effect(PUSH, key, {**payload, "device_id": device}))


def browser_of(data: Subscribe) -> Browser:
    """The browser to be stored."""
    return Browser(data.endpoint) if data.keys is UNSET else Browser(data.endpoint, data.keys.p256dh, data.keys.auth)


def refuse_bad(settings: Settings, data: Subscribe) -> str:
    """The host of the push service; raises Invalid for what could not be told anything."""
    complaints: dict[str, list[str]] = {}
    if data.keys is not UNSET and not is_point(data.keys.p256dh):
        complaints["keys.p256dh"] = ["Must be a point on P-256, uncompressed, in base64url."]
    if data.keys is not UNSET and not is_secret(data.keys.auth):
        complaints["keys.auth"] = ["Must be 16 bytes in base64url."]
    if data.content_encoding not in (None, "aes128gcm"):
        complaints["content_encoding"] = ["Only aes128gcm is spoken here."]
    try:
        host = check_endpoint(settings, data.endpoint)
    except ForbiddenAddress as error:
        raise Invalid(details={"endpoint": [str(error)], **complaints}) from error
    if complaints:
        raise Invalid(details=complaints)
    return host
