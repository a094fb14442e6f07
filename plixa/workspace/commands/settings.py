"""Changing a workspace's settings. What is absent stays; every change leaves what it was and what it is."""

import secrets
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.identity.commands.account import call_waiting
from plixa.identity.commands.two_factor import TwoFactorRequiredForOwner
from plixa.identity.domain import COUNTRIES, TIMEZONES, Text
from plixa.identity.queries.members import image_url
from plixa.identity.queries.two_factor import settings_lock
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Invalid
from plixa.kernel.images import clean
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.domain import Day, Hours, faults
from plixa.workspace.queries.settings import CURRENCIES, SETTINGS, SETTINGS_PARTS, find_hours, get_security_config, read_workspace

LARGEST_LOGO: Final = 1024 * 1024
"""Bytes, by the contract."""
UPDATE: Final = """UPDATE tenant SET timezone = $2, locale = $3, currency = $4, name = $5, country_code = $6, tax_id = $7
WHERE tenant_id = $1"""
SECURE: Final = """UPDATE tenant SET require_two_factor = $2, agent_restricted = $3, agents_can_delete_conversations = $4,
allow_support_access = $5 WHERE tenant_id = $1"""
CLOSED: Final = "coalesce((SELECT array_agg(date) FROM closure WHERE tenant_id = $1), '{}')"
KEEP_HOURS: Final = f"""INSERT INTO business_hours (tenant_id, since, timezone, enabled, message, hours, pause_sla, closed)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, {CLOSED})"""  # noqa: S608 - a constant
KEEP_CLOSED: Final = f"""INSERT INTO business_hours (tenant_id, since, timezone, enabled, message, hours, pause_sla, closed)
SELECT tenant_id, $2, timezone, enabled, message, hours, pause_sla, {CLOSED} FROM business_hours
WHERE tenant_id = $1 ORDER BY since DESC LIMIT 1 ON CONFLICT (tenant_id, since) DO UPDATE SET closed = excluded.closed"""  # noqa: S608
KEEP_IMAGE: Final = "INSERT INTO public_image (tenant_id, key, mime, content, created_at) VALUES ($1, $2, $3, $4, $5)"
DROP_IMAGE: Final = "DELETE FROM public_image WHERE tenant_id = $1 AND key = $2"
SET_LOGO: Final = "UPDATE tenant SET logo_key = $2 WHERE tenant_id = $1"
DISMISS: Final = "UPDATE tenant SET onboarding_dismissed_at = $2 WHERE tenant_id = $1 AND onboarding_dismissed_at IS NULL"


class UpdateWorkspace(Struct, frozen=True):
    """``timezone`` is an IANA name, ``locale`` en, pt-BR (pt) or es, ``currency`` ISO 4217."""

    timezone: str
    locale: Literal["en", "pt-BR", "es", "pt"]
    currency: str
    name: Text | UnsetType = UNSET
    country_code: str | UnsetType = UNSET
    tax_id: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET


class UpdateSecurity(Struct, frozen=True):
    """Switches; what is absent stays."""

    require_two_factor: bool | UnsetType = UNSET
    agent_restricted_to_own_conversations: bool | UnsetType = UNSET
    agents_can_delete_conversations: bool | UnsetType = UNSET
    allow_support_access: bool | UnsetType = UNSET


class UpdateBusinessHours(Struct, frozen=True):
    """The whole week; ``message`` is the closed-hours reply."""

    enabled: bool
    hours: Annotated[list[Day], Meta(min_length=7, max_length=7)]
    message: Annotated[str, Meta(max_length=500)] | None = None
    pause_sla: bool = False


async def update_workspace(uow: UnitOfWork, data: UpdateWorkspace) -> None:
    """Zone, language, currency and name; hours hold in the new zone from now on."""
    if complaints := unknown(data):
        raise Invalid(details=complaints)
    await alone(uow)
    row = await read_workspace(uow)
    before = {name: row[name] for name in ("timezone", "locale", "currency", "name", "country_code", "tax_id")}
    after = before | {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after["country_code"] = str(after["country_code"]).upper()
    if after == before:
        return
    await uow.execute(UPDATE, *after.values())
    forget_settings(uow)
    hours = await find_hours(uow)
    if hours is not None and hours.timezone != data.timezone:
        await keep_hours(uow, msgspec.structs.replace(hours, timezone=data.timezone))
    await tell(uow, "workspace.updated", before, after)


async def update_security(uow: UnitOfWork, data: UpdateSecurity) -> None:
    """The switches; raises TwoFactorRequiredForOwner for an owner who would lock themselves out."""
    await alone(uow)
    shown = msgspec.structs.asdict(await get_security_config(uow))
    before = {name: shown[name] for name in data.__struct_fields__}
    after = before | {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if after["require_two_factor"] and not before["require_two_factor"] and not shown["owner_has_two_factor"]:
        raise TwoFactorRequiredForOwner
    if after != before:
        await uow.execute(SECURE, *after.values())
        if before["require_two_factor"] and not after["require_two_factor"]:
            call_waiting(uow, "security")
        await tell(uow, "security.updated", before, after)


async def update_business_hours(uow: UnitOfWork, data: UpdateBusinessHours) -> None:
    """A new version of the week: what held before is kept, for clocks that began under it."""
    if complaints := faults(data.hours):
        raise Invalid(details=complaints)
    await alone(uow)
    zone = str((await read_workspace(uow))["timezone"])
    kept = await find_hours(uow)
    week = sorted(data.hours, key=lambda day: day.weekday)
    hours = Hours(uow.now, zone, data.enabled, data.message, week, data.pause_sla)
    before, after = (told(one) for one in (kept, hours))
    if before == after:
        return
    await keep_hours(uow, hours)
    await tell(uow, "business_hours.updated", before, after)


def told(hours: Hours | None) -> dict[str, Any]:
    """What the audit trail says of a week."""
    return {name: value for name, value in msgspec.to_builtins(hours).items() if name not in ("since", "closed")} if hours else {}


async def set_logo(uow: UnitOfWork, settings: Settings, upload: bytes) -> str | None:
    """Keep a logo, made anew, under a random name; the one before it is gone. Answers where it is served."""
    picture = await clean(upload, LARGEST_LOGO, "logo")
    key = f"{secrets.token_hex(16)}.{picture.ending}"
    await alone(uow)
    before = (await read_workspace(uow))["logo_key"]
    await uow.execute(KEEP_IMAGE, key, picture.mime, picture.content, uow.now)
    await replace_logo(uow, before, key)
    return image_url(settings, key)


async def remove_logo(uow: UnitOfWork) -> None:
    """No logo any more; where there was none nothing happens."""
    await alone(uow)
    before = (await read_workspace(uow))["logo_key"]
    if before is not None:
        await replace_logo(uow, before, None)


async def dismiss_onboarding(uow: UnitOfWork) -> None:
    """The owner has seen enough of the getting-started list."""
    if await uow.execute(DISMISS, uow.now) == "UPDATE 1":
        await record(uow, "onboarding.dismissed", ("tenant", uow.tenant))


async def replace_logo(uow: UnitOfWork, before: str | None, after: str | None) -> None:
    """Point to another logo, or to none."""
    await uow.execute(SET_LOGO, after)
    if before is not None:
        await uow.execute(DROP_IMAGE, before)
    await tell(uow, "workspace.logo_changed", {"logo_key": before}, {"logo_key": after})


async def alone(uow: UnitOfWork) -> None:
    """One change of a workspace's settings after the other, so that what it was before is true."""
    await uow.begin(settings_lock(uow.tenant))


async def keep_hours(uow: UnitOfWork, hours: Hours) -> None:
    """One more version, in force from now on."""
    week = msgspec.json.encode(hours.hours).decode()
    await uow.execute(KEEP_HOURS, uow.now, hours.timezone, hours.enabled, hours.message, week, hours.pause_sla)
    set_clocks(uow)


def follow_hours(uow: UnitOfWork) -> None:
    """Other dates are closed than before: one more version of the week, if there is one, and what follows from that."""
    uow.also(KEEP_CLOSED, uow.now)
    set_clocks(uow)


def set_clocks(uow: UnitOfWork) -> None:
    """It is open at other times than before: what is remembered of that is forgotten, and running clocks are set by it."""
    forget_settings(uow)
    uow.enqueue(Effect("inbox.retime", f"{uow.now:%Y%m%dT%H%M%S.%f}"))


def forget_settings(uow: UnitOfWork) -> None:
    """What this process remembers of the workspace's settings holds no longer, once this is committed; elsewhere half a second more."""
    for part in SETTINGS_PARTS:
        uow.after_commit(partial(uow.kernel.recall.forget, (uow.tenant, SETTINGS, part)))


async def tell(uow: UnitOfWork, action: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The entry of a changed setting: only what is different."""
    await record_change(uow, action, ("tenant", uow.tenant), before, after)


def unknown(data: UpdateWorkspace) -> dict[str, list[str]]:
    """Names that stand for nothing, as field → messages."""
    checks = {
        "timezone": (data.timezone in TIMEZONES, "Must be an IANA timezone."),
        "currency": (data.currency in CURRENCIES, "Must be an ISO 4217 currency code."),
        "country_code": (
            data.country_code is UNSET or str(data.country_code).upper() in COUNTRIES,
            "Must be an ISO 3166-1 alpha-2 country code.",
        ),
    }
    return {field: [message] for field, (holds, message) in checks.items() if not holds}
