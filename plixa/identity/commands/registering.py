"""Registering a workspace: tenant, log, owner and a first session, all at once or not at all."""

import re
import secrets
import string
import unicodedata
from typing import Annotated, Any, Final

import asyncpg
from babel.numbers import get_territory_currencies
from msgspec import Meta, Struct

from plixa.identity.commands.sessions import Entrance, open_session, signed_in
from plixa.identity.domain import COUNTRIES, EMAIL, TIMEZONES, Locale, NewPassword, Text
from plixa.identity.queries.members import SignedInView, get_session
from plixa.kernel.audit import OPEN_LOG, record
from plixa.kernel.errors import Invalid
from plixa.kernel.event_store import Actor
from plixa.kernel.requests import caller_network
from plixa.kernel.uow import UnitOfWork

SUFFIX: Final = string.ascii_lowercase + string.digits

NEW_TENANT: Final = """
INSERT INTO tenant (tenant_id, name, slug, country_code, tax_id, timezone, locale, currency, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
NEW_OWNER: Final = """
INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5, 'owner', $6)
"""


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


async def register(uow: UnitOfWork, entrance: Entrance, data: Register) -> SignedInView:
    """Tenant, log, owner and panel token in the one transaction of ``uow``, whose tenant is the new one's number."""
    if complaints := contradictions(data):
        raise Invalid(details=complaints)
    await entrance.count("register", caller_network())
    password_hash = await entrance.passwords.choose(data.password, data.name, data.email, data.company_name)
    member = await uow.number("member_number")
    uow.actor = Actor("member", member, data.name)
    workspace = await found_workspace(uow, data)
    await add_owner(uow, member, data, password_hash)
    token = await open_session(uow, member, password_hash)
    await record(uow, "tenant.registered", ("tenant", uow.tenant), after=workspace)
    session = await get_session(uow, member, entrance.settings)
    return signed_in(session, token)


async def found_workspace(uow: UnitOfWork, data: Register) -> dict[str, Any]:
    """Insert tenant and log; answers what the audit trail says of it."""
    await uow.begin()
    workspace = {
        "name": data.company_name,
        "slug": slug(data.company_name),
        "country_code": data.country_code.upper(),
        "timezone": data.timezone or "UTC",
        "locale": data.locale or "en",
        "currency": currency_of(data.country_code.upper()),
    }
    name, address, country, timezone, locale, currency = workspace.values()
    await uow.execute(NEW_TENANT, name, address, country, data.tax_id, timezone, locale, currency, uow.now)
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


def currency_of(country: str) -> str:
    """What is paid with in a country today (ISO 4217), US dollars where nobody says."""
    return next(iter(get_territory_currencies(country)), "USD")
