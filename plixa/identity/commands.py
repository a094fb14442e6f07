"""Writes: registering a workspace, signing in and out."""

import re
import secrets
import string
import unicodedata
from datetime import timedelta
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

import asyncpg
import pycountry
from msgspec import Meta, Struct

from plixa.identity.queries import PANEL_DAYS, Account, SignedInView, find_account, get_session
from plixa.kernel.audit import OPEN_LOG, record
from plixa.kernel.auth import Principal, hashed, mint
from plixa.kernel.errors import Invalid, PlixaError
from plixa.kernel.event_store import SYSTEM, Actor
from plixa.kernel.passwords import LONGEST, PasswordChecker
from plixa.kernel.requests import caller_network, current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

COUNTRIES: Final = frozenset(country.alpha_2 for country in pycountry.countries)
TIMEZONES: Final = frozenset((files("tzdata") / "zones").read_text().split()) - {"Factory"}
"""The names of the IANA database, exactly as written there."""
EMAIL: Final = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"
SUFFIX: Final = string.ascii_lowercase + string.digits
PANEL: Final = "plxp_"

Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
NewPassword = Annotated[str, Meta(min_length=8, max_length=LONGEST)]
Locale = Literal["en", "pt", "es", "pt-BR"]

NEW_TENANT: Final = """
INSERT INTO tenant (tenant_id, name, slug, country_code, tax_id, timezone, locale, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
NEW_OWNER: Final = """
INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5, 'owner', $6)
"""
NEW_TOKEN: Final = """
INSERT INTO access_token (tenant_id, member_id, kind, name, hash, created_at, expires_at)
SELECT tenant_id, id, 'panel', 'panel', $4, $5, $6 FROM member
WHERE tenant_id = $1 AND id = $2 AND password_hash = $3 FOR KEY SHARE RETURNING id
"""
"""Nothing where the member was removed, or the password changed, since it was verified."""
REHASH: Final = "UPDATE member SET password_hash = $3 WHERE tenant_id = $1 AND id = $2 AND password_hash = $4"
REVOKE: Final = "DELETE FROM access_token WHERE tenant_id = $1 AND id = $2"


class InvalidCredentials(PlixaError):
    code = "INVALID_CREDENTIALS"
    status = 401
    default = "The email or password is incorrect."


class Register(Struct, frozen=True):
    """A new workspace and its owner."""

    name: Text
    email: Annotated[str, Meta(max_length=254, pattern=EMAIL)]
    password: NewPassword
    password_confirmation: str
    company_name: Text
    country_code: Annotated[str, Meta(min_length=2, max_length=2)]
    tax_id: Annotated[str, Meta(max_length=64)] | None = None
    timezone: str | None = None
    locale: Locale | None = None


class SignIn(Struct, frozen=True):
    """Somebody who says they are a member."""

    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=LONGEST)]


class Entrance(Struct, frozen=True):
    """What letting people in takes."""

    kernel: Kernel
    settings: Settings
    passwords: PasswordChecker
    throttler: Throttler

    async def count(self, throttle: str, who: str) -> None:
        """Count one try against a throttle of the settings; raises RateLimited."""
        await self.throttler.count(throttle, self.settings.throttles[throttle], who)


async def register(uow: UnitOfWork, entrance: Entrance, data: Register) -> SignedInView:
    """Tenant, log, owner and panel token in the one transaction of ``uow``, whose tenant is the new one's number."""
    if complaints := contradictions(data):
        raise Invalid(details=complaints)
    await entrance.count("register", caller_network())
    password_hash = await entrance.passwords.hash(data.password)
    member = await uow.number("member_number")
    uow.actor = Actor("member", member, data.name)
    workspace = await found_workspace(uow, data)
    await add_owner(uow, member, data, password_hash)
    token = await open_session(uow, member, password_hash)
    await record(uow, "tenant.registered", ("tenant", uow.tenant), after=workspace)
    session = await get_session(uow, member, entrance.settings)
    return SignedInView(session.user, session.tenant, token)


async def sign_in(entrance: Entrance, data: SignIn) -> SignedInView:
    """A new panel token; raises InvalidCredentials, the same way in the same time, for whatever does not fit."""
    email = data.email.lower()
    await entrance.count("login_ip", caller_network())
    await entrance.count("login_account", email)
    account = await find_account(entrance.kernel.system, email)
    if not await entrance.passwords.matches(account.password_hash, data.password):
        await refuse(entrance.kernel, account)
        raise InvalidCredentials
    actor = Actor("member", account.id, account.name)
    async with working(entrance.kernel, account.tenant, actor, current_request_id()) as uow:
        return await perform(uow, lambda: admit(uow, entrance, account, data.password))


async def sign_out(uow: UnitOfWork, caller: Principal) -> None:
    """Revoke the token that was used, and no other."""
    if await uow.execute(REVOKE, caller.token_id) == "DELETE 1":
        await record(uow, "member.signed_out", ("member", caller.user_id))


async def admit(uow: UnitOfWork, entrance: Entrance, account: Account, password: str) -> SignedInView:
    """Open a session for a member who proved who they are, and renew a password hash of another cost."""
    stored = account.password_hash or ""
    fresh = await entrance.passwords.hash(password) if entrance.passwords.is_outdated(stored) else None
    token = await open_session(uow, account.id, stored)
    if fresh is not None:
        await uow.execute(REHASH, account.id, fresh, stored)
    await record(uow, "member.signed_in", ("member", account.id))
    session = await get_session(uow, account.id, entrance.settings)
    return SignedInView(session.user, session.tenant, token)


async def refuse(kernel: Kernel, account: Account) -> None:
    """Leave a trace of a failed try: in the workspace's log, or in the platform's for an address nobody has."""
    async with working(kernel, account.tenant, SYSTEM, current_request_id()) as uow:

        async def note() -> None:
            await uow.execute(OPEN_LOG)
            await record(uow, "member.sign_in_failed", ("member", account.id))

        await perform(uow, note)


async def open_session(uow: UnitOfWork, member: int, password_hash: str) -> str:
    """A panel token as it is shown, once: ``<id>|plxp_…``; raises InvalidCredentials when the password was changed."""
    secret, expires = mint(PANEL), uow.now + timedelta(days=PANEL_DAYS)
    number = await uow.insert(NEW_TOKEN, member, password_hash, hashed(secret), uow.now, expires)
    if number is None:
        raise InvalidCredentials
    return f"{number}|{secret}"


async def found_workspace(uow: UnitOfWork, data: Register) -> dict[str, Any]:
    """Insert tenant and log; answers what the audit trail says of it."""
    await uow.begin()
    workspace = {
        "name": data.company_name,
        "slug": slug(data.company_name),
        "country_code": data.country_code.upper(),
        "timezone": data.timezone or "UTC",
        "locale": data.locale or "en",
    }
    name, address, country, timezone, locale = workspace.values()
    await uow.execute(NEW_TENANT, name, address, country, data.tax_id, timezone, locale, uow.now)
    await uow.execute(OPEN_LOG)
    return workspace


async def add_owner(uow: UnitOfWork, member: int, data: Register, password_hash: str) -> None:
    """Insert the owner; raises Invalid when the e-mail address belongs to somebody already."""
    try:
        await uow.execute(NEW_OWNER, member, data.name, data.email.lower(), password_hash, uow.now)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "member_email_key":
            raise
        raise Invalid.field("email", "The email has already been taken.") from error


def contradictions(data: Register) -> dict[str, list[str]]:
    """What is wrong beyond the shape, as field → messages."""
    checks = {
        "password_confirmation": (data.password_confirmation == data.password, "Must match the password."),
        "country_code": (data.country_code.upper() in COUNTRIES, "Must be an ISO 3166-1 alpha-2 country code."),
        "timezone": (data.timezone is None or data.timezone in TIMEZONES, "Must be an IANA timezone."),
    }
    return {field: [message] for field, (holds, message) in checks.items() if not holds}


def slug(name: str) -> str:
    """``Lúcia Studios`` → ``lucia-studios-ab12cd``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:48].strip("-") or "workspace"
    return f"{words}-{''.join(secrets.choice(SUFFIX) for _ in range(6))}"
