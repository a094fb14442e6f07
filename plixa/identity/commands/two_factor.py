"""Second factors: setting one up, proving it at sign-in, recovery codes, switching it off."""

from typing import Annotated, Final

import pyotp
import segno
from msgspec import Meta, Struct

from plixa.identity.commands.account import call_waiting
from plixa.identity.commands.sessions import (
    FAILED,
    REVOKE,
    Entrance,
    acting,
    end_sessions,
    prove_password,
    tell_refusal,
    tried,
    welcome,
)
from plixa.identity.domain import Code, match_step, new_recovery_codes, recovery_hash
from plixa.identity.queries.members import SignedInView
from plixa.identity.queries.two_factor import Held, count_recovery_codes, hold_member, is_demanded, settings_lock
from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.auth import Principal
from plixa.kernel.errors import Conflict, Invalid, Unauthenticated
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.passwords import LONGEST
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import UnitOfWork, perform, working

Password = Annotated[str, Meta(max_length=LONGEST)]
ISSUER: Final = "Plixa"
TRIES: Final = 5
"""Wrong codes that end a sign-in."""
TRY: Final = """
UPDATE access_token SET tries = tries + 1 WHERE tenant_id = $1 AND id = $2 AND kind = 'challenge' AND expires_at > now() RETURNING tries
"""
USE_STEP: Final = "UPDATE member SET two_factor_step = $3 WHERE tenant_id = $1 AND id = $2 AND two_factor_step < $3 RETURNING id"
USE_CODE: Final = "DELETE FROM recovery_code WHERE tenant_id = $1 AND member_id = $2 AND hash = $3 RETURNING member_id"
NEW_CODES: Final = "INSERT INTO recovery_code (tenant_id, member_id, hash) SELECT $1, $2, unnest($3::bytea[])"
NO_CODES: Final = "DELETE FROM recovery_code WHERE tenant_id = $1 AND member_id = $2"
SET_UP: Final = """
UPDATE member SET two_factor_secret = $3, two_factor_setup_at = $4, two_factor_step = 0 WHERE tenant_id = $1 AND id = $2
"""
CONFIRM: Final = "UPDATE member SET two_factor_confirmed_at = $3 WHERE tenant_id = $1 AND id = $2"
DISABLE: Final = """
UPDATE member SET two_factor_secret = NULL, two_factor_setup_at = NULL, two_factor_confirmed_at = NULL, two_factor_step = 0
WHERE tenant_id = $1 AND id = $2
"""


class InvalidTwoFactorCode(Invalid):
    code = "INVALID_TWO_FACTOR_CODE"
    default = "The code is incorrect, expired or was used already."


class TwoFactorEnabled(Conflict):
    code = "TWO_FACTOR_ENABLED"
    default = "Your second factor is on already. Switch it off first to set up another."


class TwoFactorNotEnabled(Conflict):
    code = "TWO_FACTOR_NOT_ENABLED"
    default = "Your second factor is not on."


class TwoFactorNotSetUp(Conflict):
    code = "TWO_FACTOR_NOT_SET_UP"
    default = "Set up your second factor first, and confirm it within ten minutes."


class TwoFactorRequiredForOwner(Conflict):
    code = "TWO_FACTOR_REQUIRED_FOR_OWNER"
    default = "Your workspace demands a second factor of everybody. Stop demanding it before you switch off your own."


class Proof(Struct, frozen=True):
    """A code of the authenticator app, or a recovery code."""

    code: Code | None = None
    recovery_code: Code | None = None


class PasswordAgain(Struct, frozen=True):
    """The caller's password, against stolen tokens."""

    password: Password


class Disable(Struct, frozen=True):
    """The caller's password and, for good measure, a code of their authenticator app."""

    password: Password
    code: Code | None = None


class Confirm(Struct, frozen=True):
    """The first code the authenticator app shows."""

    code: Code


class Revoke(Struct, frozen=True):
    """The caller's password and the recovery code that leaked."""

    password: Password
    code: Code


class SetupView(Struct, frozen=True):
    """A secret for an authenticator app, shown this once; ``qr_code`` is the address as a picture (an SVG data URI)."""

    secret: str
    otpauth_url: str
    qr_code: str


class RecoveryCodesView(Struct, frozen=True):
    """Ten codes, shown this once."""

    recovery_codes: list[str]


class RemainingView(Struct, frozen=True):
    """How many recovery codes are left."""

    remaining: int


async def complete_sign_in(entrance: Entrance, caller: Principal, proof: Proof) -> SignedInView:
    """The session whose password was given before; raises InvalidTwoFactorCode, and Unauthenticated once five were wrong."""
    if (proof.code is None) == (proof.recovery_code is None):
        raise Invalid.field("code", "Give exactly one of code and recovery_code.")
    await entrance.count("two_factor", str(caller.user_id))
    actor = acting(caller.tenant, caller.user_id, caller.name)
    async with working(entrance.kernel, caller.tenant, actor, current_request_id()) as uow:
        answer = await perform(uow, lambda: judge(uow, entrance, caller, proof))
    if answer is None:
        raise InvalidTwoFactorCode(details={"code" if proof.code else "recovery_code": [InvalidTwoFactorCode.default]})
    session, email = answer
    await entrance.forget("two_factor", str(caller.user_id))
    await entrance.forget("login_account", tried(email, staff=caller.tenant == PLATFORM))
    return session


async def judge(uow: UnitOfWork, entrance: Entrance, caller: Principal, proof: Proof) -> tuple[SignedInView, str] | None:
    """The session and whose it is; None, with the failure counted and noted, for a wrong code."""
    member = await hold_member(uow, caller.user_id)
    tries = await uow.insert(TRY, caller.token_id)
    if tries is None or member.two_factor_confirmed_at is None:
        raise Unauthenticated
    factor = await prove(uow, member, proof)
    if factor is None:
        if tries >= TRIES:
            await uow.execute(REVOKE, caller.token_id)
        await uow.execute(FAILED, member.id)
        await record(uow, "member.second_factor_failed", ("member", member.id))
        return None
    await uow.execute(REVOKE, caller.token_id)
    if factor == "recovery_code":
        left = await count_recovery_codes(uow, member.id)
        write(uow, member, "recovery_code_used", left=left)
    return await welcome(uow, entrance.settings, member, factor), member.email


async def prove(uow: UnitOfWork, member: Held, proof: Proof) -> str | None:
    """Use up the code that was given: ``totp``, ``recovery_code``, or None where it is wrong."""
    secret = open_secret(uow, member)
    if proof.recovery_code is not None:
        found = await uow.insert(USE_CODE, member.id, recovery_hash(secret, proof.recovery_code))
        return None if found is None else "recovery_code"
    step = match_step(secret, proof.code or "", uow.now, member.two_factor_step)
    used = None if step is None else await uow.insert(USE_STEP, member.id, step)
    return None if used is None else "totp"


async def set_up_two_factor(uow: UnitOfWork, entrance: Entrance, password: str) -> SetupView:
    """A new secret, which waits ten minutes for its first code; raises TwoFactorEnabled."""
    await prove_password(uow, entrance, password)
    member = await hold_caller(uow)
    if member.two_factor_confirmed_at is not None:
        raise TwoFactorEnabled
    secret = pyotp.random_base32()
    await uow.execute(SET_UP, member.id, uow.kernel.vault.seal(secret.encode(), place_of_secret(uow, member)), uow.now)
    await record(uow, "member.second_factor_set_up", ("member", member.id))
    url = pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name=ISSUER)
    return SetupView(secret, url, segno.make(url, error="m", micro=False).svg_data_uri(scale=4, border=4, light="white"))


async def confirm_two_factor(uow: UnitOfWork, entrance: Entrance, code: str) -> RecoveryCodesView:
    """Switch it on with the first code; other sessions end. Raises TwoFactorNotSetUp, InvalidTwoFactorCode."""
    member = await hold_caller(uow)
    if member.two_factor_confirmed_at is not None:
        raise TwoFactorEnabled
    if not member.is_pending(uow.now):
        raise TwoFactorNotSetUp
    await demand_code(uow, entrance, member, code)
    await uow.execute(CONFIRM, member.id, uow.now)
    codes = await replace_codes(uow, member)
    await end_sessions(uow, member.id, but=calling(uow).token_id)
    await record(uow, "member.second_factor_enabled", ("member", member.id))
    call_waiting(uow, f"member/{member.id}")
    write(uow, member, "two_factor_enabled")
    return RecoveryCodesView(codes)


async def disable_two_factor(uow: UnitOfWork, entrance: Entrance, password: str, code: str | None) -> None:
    """Switch it off; other sessions end. Raises TwoFactorRequiredForOwner for an owner whose workspace demands one of everybody."""
    await prove_password(uow, entrance, password)
    await uow.begin(settings_lock(uow.tenant))
    member = await hold_enabled(uow)
    if member.role == "owner" and await is_demanded(uow):
        raise TwoFactorRequiredForOwner
    if code is not None:
        await demand_code(uow, entrance, member, code)
    await forget_two_factor(uow, member, but=calling(uow).token_id)
    await record(uow, "member.second_factor_disabled", ("member", member.id))


async def forget_two_factor(uow: UnitOfWork, member: Held, but: int = 0) -> None:
    """A held member has no second factor any more, nor any session ``but`` one token; they are told by mail."""
    await uow.execute(DISABLE, member.id)
    await uow.execute(NO_CODES, member.id)
    await end_sessions(uow, member.id, but)
    write(uow, member, "two_factor_disabled")


async def renew_recovery_codes(uow: UnitOfWork, entrance: Entrance, password: str) -> RecoveryCodesView:
    """Ten new codes; the old ones stop working."""
    await prove_password(uow, entrance, password)
    member = await hold_enabled(uow)
    codes = await replace_codes(uow, member)
    await record(uow, "member.recovery_codes_renewed", ("member", member.id))
    write(uow, member, "recovery_codes_regenerated")
    return RecoveryCodesView(codes)


async def revoke_recovery_code(uow: UnitOfWork, entrance: Entrance, password: str, code: str) -> RemainingView:
    """One code stops working; raises Invalid for one that does not exist, or no longer."""
    await prove_password(uow, entrance, password)
    member = await hold_enabled(uow)
    if await uow.insert(USE_CODE, member.id, recovery_hash(open_secret(uow, member), code)) is None:
        raise Invalid.field("code", "This is none of your recovery codes, or it was used already.")
    left = await count_recovery_codes(uow, member.id)
    await record(uow, "member.recovery_code_revoked", ("member", member.id), {"remaining": left + 1}, {"remaining": left})
    write(uow, member, "recovery_code_revoked")
    return RemainingView(left)


async def demand_code(uow: UnitOfWork, entrance: Entrance, member: Held, code: str) -> None:
    """Use up a code of the caller's app; for a wrong one everything is undone but its entry, and InvalidTwoFactorCode raised."""
    await entrance.count("two_factor", str(member.id))
    if await prove(uow, member, Proof(code=code)) is None:
        await tell_refusal(uow, "security.second_factor_refused")
        raise InvalidTwoFactorCode(details={"code": [InvalidTwoFactorCode.default]})
    await entrance.forget("two_factor", str(member.id))


async def replace_codes(uow: UnitOfWork, member: Held) -> list[str]:
    """New recovery codes instead of all there were."""
    codes, secret = new_recovery_codes(), open_secret(uow, member)
    await uow.execute(NO_CODES, member.id)
    await uow.execute(NEW_CODES, member.id, [recovery_hash(secret, code) for code in codes])
    return codes


def calling(uow: UnitOfWork) -> Principal:
    """Who calls; raises Unauthenticated where nobody does."""
    if uow.principal is None:
        raise Unauthenticated
    return uow.principal


async def hold_caller(uow: UnitOfWork) -> Held:
    """Who calls, held until this ends."""
    return await hold_member(uow, calling(uow).user_id)


async def hold_enabled(uow: UnitOfWork) -> Held:
    """Who calls, held; raises TwoFactorNotEnabled."""
    member = await hold_caller(uow)
    if member.two_factor_confirmed_at is None:
        raise TwoFactorNotEnabled
    return member


def open_secret(uow: UnitOfWork, member: Held) -> str:
    """A member's TOTP secret in base 32."""
    return uow.kernel.vault.open(member.two_factor_secret or b"", place_of_secret(uow, member)).decode()


def place_of_secret(uow: UnitOfWork, member: Held) -> str:
    """Where a member's secret belongs, as the vault seals it."""
    return f"member/{uow.tenant}/{member.id}/two_factor_secret"


def write(uow: UnitOfWork, member: Held, template: str, **values: int) -> None:
    """Mail a member what happened to their second factor."""
    key = f"{template}/{member.id}/{uow.now.isoformat()}"
    send_mail(uow, key, Mail(template, member.email, member.locale, {"name": member.name, **values}, member.zone))
