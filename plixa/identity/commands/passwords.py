"""Passwords: a new one by a mailed link, or by proving the old one."""

import base64
import hmac
import secrets
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from plixa.identity.commands.sessions import Entrance, InvalidPassword, acting, end_impersonations, end_sessions, prove_password, tried
from plixa.identity.domain import NewPassword
from plixa.identity.queries.members import Account, get_session
from plixa.identity.queries.resets import Reset, find_reset
from plixa.identity.queries.two_factor import Held, hold_member
from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.auth import hashed
from plixa.kernel.crypto import Vault
from plixa.kernel.errors import Invalid, RateLimited, Unauthenticated
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.passwords import LONGEST
from plixa.kernel.requests import caller_network, current_request_id
from plixa.kernel.uow import UnitOfWork, perform, working

OFFER: Final = "identity.offer_reset"
MINUTES: Final = 60
"""How long a link works."""
NEW_RESET: Final = """
INSERT INTO password_reset (tenant_id, hash, member_id, bound_to, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING member_id
"""
USE_RESET: Final = "DELETE FROM password_reset WHERE tenant_id = $1 AND hash = $2 AND bound_to = $3 AND expires_at > $4"
SET_PASSWORD: Final = "UPDATE member SET password_hash = $3 WHERE tenant_id = $1 AND id = $2"
FORGET_RESETS: Final = "DELETE FROM password_reset WHERE tenant_id = $1 AND member_id = $2"


class InvalidResetToken(Invalid):
    code = "INVALID_RESET_TOKEN"
    default = "This link does not work any more. Ask for a new one."


class ForgottenPassword(Struct, frozen=True):
    """Somebody who says that this is their address."""

    email: Annotated[str, Meta(max_length=254)]


class PasswordReset(Struct, frozen=True):
    """The token of a mailed link, and the next password."""

    token: Annotated[str, Meta(max_length=100)]
    password: NewPassword
    password_confirmation: Annotated[str, Meta(max_length=LONGEST)]


class PasswordChange(Struct, frozen=True):
    """The present password, and the next."""

    current_password: Annotated[str, Meta(max_length=LONGEST)]
    password: NewPassword
    password_confirmation: Annotated[str, Meta(max_length=LONGEST)]


class Asked(Struct, frozen=True):
    """What a worker is told of somebody who forgot a password: it alone looks whether they exist."""

    email: str
    token: str
    is_staff: bool


async def ask_for_reset(entrance: Entrance, data: ForgottenPassword) -> None:
    """Have links mailed to whoever has the address, as a member and as staff: the same work for everybody, none once it is too often."""
    email = data.email.lower()
    try:
        await entrance.count("forgot_password_ip", caller_network())
        await entrance.count("forgot_password_account", email)
    except RateLimited:
        return
    async with working(entrance.kernel, PLATFORM, SYSTEM, current_request_id()) as uow:

        async def ask() -> None:
            for is_staff in (False, True):
                uow.enqueue(offer_effect(uow, Asked(email, secrets.token_urlsafe(32), is_staff)))

        await perform(uow, ask)


def offer_effect(uow: UnitOfWork, asked: Asked) -> Effect:
    """The effect that looks for the account; sealed, because its token opens it."""
    key = hashed(asked.token).hex()
    sealed = uow.kernel.vault.seal(msgspec.json.encode(asked), place_of_asked(key))
    return Effect(OFFER, key, {"sealed": base64.b64encode(sealed).decode(), "request_id": uow.request_id})


def open_asked(vault: Vault, key: str, payload: dict[str, Any]) -> Asked:
    """What an effect's payload holds; raises Unreadable."""
    return msgspec.json.decode(vault.open(base64.b64decode(payload["sealed"]), place_of_asked(key)), type=Asked)


def place_of_asked(key: str) -> str:
    """Where it belongs, as the vault seals it."""
    return f"{OFFER}/{key}"


async def offer_reset(uow: UnitOfWork, account: Account, token: str, public_url: str) -> None:
    """Mail a link that works once, for an hour, and only while the password is the present one; never twice for one ``token``."""
    held = await hold_member(uow, account.id)
    digest = hashed(token)
    expires = uow.now + timedelta(minutes=MINUTES)
    if await uow.insert(NEW_RESET, digest, held.id, bound_to(held), uow.now, expires) is None:
        return
    link = f"{public_url}/reset-password#token={token}"
    mail = Mail("password_reset", held.email, held.locale, {"name": held.name, "link": link}, held.zone)
    send_mail(uow, f"password_reset/{held.id}/{digest.hex()[:16]}", mail)
    await record(uow, "member.password_reset_requested", ("member", held.id))


async def reset_password(entrance: Entrance, data: PasswordReset) -> None:
    """Set the password of whoever got the link, and end their every session; their second factor stays. Raises InvalidResetToken."""
    refuse_mismatch(data)
    digest = hashed(data.token)
    reset = await find_reset(entrance.kernel.system, digest)
    if reset is None:
        raise InvalidResetToken(details={"token": [InvalidResetToken.default]})
    fresh = await entrance.passwords.choose(data.password, reset.name, reset.email, reset.workspace)
    actor = acting(reset.tenant, reset.member, reset.name)
    async with working(entrance.kernel, reset.tenant, actor, current_request_id()) as uow:
        await perform(uow, partial(use_reset, uow, reset, digest, fresh))
    await entrance.forget("login_account", tried(reset.email, reset.tenant == PLATFORM))


async def use_reset(uow: UnitOfWork, reset: Reset, digest: bytes, password_hash: str) -> None:
    """Set the password, once a link; raises InvalidResetToken for whoever comes second."""
    held = await hold_member(uow, reset.member)
    if await uow.execute(USE_RESET, digest, bound_to(held), uow.now) != "DELETE 1":
        raise InvalidResetToken(details={"token": [InvalidResetToken.default]})
    await set_password(uow, held, password_hash)
    await record(uow, "member.password_reset", ("member", held.id))


async def change_password(uow: UnitOfWork, entrance: Entrance, data: PasswordChange) -> None:
    """Set the caller's own password, and end their every other session. Raises InvalidPassword."""
    caller = uow.principal
    if caller is None:
        raise Unauthenticated
    refuse_mismatch(data)
    proven = await prove_password(uow, entrance, data.current_password, "current_password")
    session = await get_session(uow, caller.user_id, entrance.settings)
    uow.close()  # nothing is held while the password is judged and hashed
    fresh = await entrance.passwords.choose(data.password, session.user.name, session.user.email, session.tenant.name)
    held = await hold_member(uow, caller.user_id)
    if not hmac.compare_digest(held.password_hash, proven):
        raise InvalidPassword(details={"current_password": [InvalidPassword.default]})
    await set_password(uow, held, fresh, caller.token_id)
    await record(uow, "member.password_changed", ("member", held.id))


async def set_password(uow: UnitOfWork, held: Held, password_hash: str, keep: int = 0) -> None:
    """A new password ends links, half-done sign-ins and sessions of the old one, but for the token ``keep``; its owner is told by mail.

    API tokens stay: they are the workspace's. Staff lose what they hold in workspaces too.
    """
    await uow.execute(SET_PASSWORD, held.id, password_hash)
    await uow.execute(FORGET_RESETS, held.id)
    await end_sessions(uow, held.id, keep)
    if uow.tenant == PLATFORM:
        await end_impersonations(uow, held.id)
    mail = Mail("password_changed", held.email, held.locale, {"name": held.name}, held.zone)
    send_mail(uow, f"password_changed/{held.id}/{uow.now.isoformat()}", mail)


def refuse_mismatch(data: PasswordReset | PasswordChange) -> None:
    """Raises Invalid where the new password was not written twice."""
    if data.password != data.password_confirmation:
        raise Invalid.field("password_confirmation", "Must match the password.")


def bound_to(held: Held) -> bytes:
    """What a link is tied to: any other password, and it is dead."""
    return sha256(held.password_hash.encode()).digest()
