"""Sessions: letting people in by password, and out again."""

from datetime import timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from plixa.identity.queries.members import Account, ChallengeView, SessionView, SignedInView, find_account, find_password, get_session
from plixa.identity.queries.tokens import PANEL_DAYS, STAFF_HOURS
from plixa.identity.queries.two_factor import Held, hold_member
from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.auth import Principal, hashed, mint
from plixa.kernel.errors import Invalid, PlixaError, Unauthenticated
from plixa.kernel.event_store import SYSTEM, Actor
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.passwords import LONGEST, PasswordChecker
from plixa.kernel.requests import caller_network, current_request, current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

SUSPICIOUS: Final = 5
"""A sign-in after this many failures is told to the member by mail."""
LIFE: Final = {"panel": timedelta(days=PANEL_DAYS), "staff": timedelta(hours=STAFF_HOURS), "challenge": timedelta(minutes=10)}
NEW_TOKEN: Final = """
INSERT INTO access_token (tenant_id, member_id, kind, name, hash, agent, created_at, expires_at)
SELECT tenant_id, id, $4, $4, $5, $6, $7, $8 FROM member
WHERE tenant_id = $1 AND id = $2 AND password_hash = $3 AND deactivated_at IS NULL FOR NO KEY UPDATE RETURNING id
"""
"""Nothing where the member was removed or deactivated, or the password changed, since it was verified. The row is locked, so that whoever
changes the password now waits, and then ends this session too."""
REHASH: Final = "UPDATE member SET password_hash = $3 WHERE tenant_id = $1 AND id = $2"
FAILED: Final = "UPDATE member SET failed_sign_ins = failed_sign_ins + 1 WHERE tenant_id = $1 AND id = $2"
SUCCEEDED: Final = "UPDATE member SET failed_sign_ins = 0 WHERE tenant_id = $1 AND id = $2"
REVOKE: Final = "DELETE FROM access_token WHERE tenant_id = $1 AND id = $2"
END_SESSIONS: Final = """
DELETE FROM access_token WHERE tenant_id = $1 AND member_id = $2 AND kind IN ('panel', 'staff', 'challenge') AND id <> $3
"""

END_IMPERSONATIONS: Final = "DELETE FROM access_token WHERE staff_id = $1 AND kind = 'impersonation'"


class InvalidCredentials(PlixaError):
    code = "INVALID_CREDENTIALS"
    status = 401
    default = "The email or password is incorrect."


class InvalidPassword(Invalid):
    code = "INVALID_PASSWORD"
    default = "The password is incorrect."


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

    async def forget(self, throttle: str, who: str) -> None:
        """Count from nothing again: the tries were the person's own."""
        await self.throttler.forget(throttle, self.settings.throttles[throttle], who)


async def sign_in(entrance: Entrance, data: SignIn, staff: bool = False) -> SignedInView | ChallengeView:
    """A new session, of a member or of Plixa's ``staff``, or the demand for a second factor.

    Raises InvalidCredentials, the same way in the same time, for whatever does not fit.
    """
    email = data.email.lower()
    await entrance.count("login_ip", caller_network())
    await entrance.count("login_account", tried(email, staff))
    account = await find_account(entrance.kernel.system, email, staff)
    if not await entrance.passwords.matches(account.password_hash, data.password):
        await refuse(entrance.kernel, account)
        raise InvalidCredentials
    actor = acting(account.tenant, account.id, account.name)
    async with working(entrance.kernel, account.tenant, actor, current_request_id()) as uow:
        answer = await perform(uow, lambda: admit(uow, entrance, account, data.password))
    if isinstance(answer, SignedInView):
        await entrance.forget("login_account", tried(email, staff))
    return answer


async def sign_out(uow: UnitOfWork, caller: Principal) -> None:
    """Revoke the token that was used, and no other; raises Unauthenticated when that was done at the same moment."""
    if await uow.execute(REVOKE, caller.token_id) != "DELETE 1":
        raise Unauthenticated
    await record(uow, "member.signed_out", ("member", caller.user_id))


async def prove_password(uow: UnitOfWork, entrance: Entrance, password: str, field: str = "password") -> str:
    """The caller's stored password hash, once they gave their password again; raises InvalidPassword for that ``field``.

    Call it before anything is written: no transaction waits for the hash, and a wrong password undoes what there is.
    """
    caller = uow.principal
    if caller is None:
        raise Unauthenticated
    await entrance.count("password", str(caller.user_id))
    stored = await find_password(entrance.kernel.system, caller.tenant, caller.user_id)
    if not await entrance.passwords.matches(stored, password):
        await tell_refusal(uow, "security.password_refused")
        raise InvalidPassword(details={field: [InvalidPassword.default]})
    await entrance.forget("password", str(caller.user_id))
    return str(stored)


async def tell_refusal(uow: UnitOfWork, action: str) -> None:
    """Undo what there is, and save nothing but the entry of what the caller was refused."""
    caller = uow.principal
    await uow.rollback()
    await perform(uow, lambda: record(uow, action, ("member", caller.user_id if caller is not None else 0)))


async def end_sessions(uow: UnitOfWork, member: int, but: int = 0) -> None:
    """End a member's sessions, and sign-ins that wait for a second factor, ``but`` one token; API tokens go on."""
    await uow.execute(END_SESSIONS, member, but)


async def end_impersonations(uow: UnitOfWork, staff: int) -> None:
    """Revoke what a staff person holds in workspaces. Their rows are those workspaces', so that it happens at once and for good."""
    async with uow.kernel.system.connection() as connection:
        await connection.execute(END_IMPERSONATIONS, staff)


async def admit(uow: UnitOfWork, entrance: Entrance, account: Account, password: str) -> SignedInView | ChallengeView:
    """Let a member in who gave their password, or ask for their second factor; renew a password hash of another cost."""
    stored = account.password_hash or ""
    fresh = await entrance.passwords.hash(password) if entrance.passwords.is_outdated(stored) else None
    member = await hold_member(uow, account.id)
    if member.password_hash != stored:
        raise InvalidCredentials
    if fresh is not None:
        await uow.execute(REHASH, member.id, fresh)
        member = replace(member, password_hash=fresh)
    if member.two_factor_confirmed_at is not None:
        return await challenge(uow, member)
    return await welcome(uow, entrance.settings, member, "password")


async def challenge(uow: UnitOfWork, member: Held) -> ChallengeView:
    """A token that is good for nothing but the second factor of this sign-in."""
    token = await open_session(uow, member.id, member.password_hash, "challenge")
    await record(uow, "member.challenged", ("member", member.id))
    return ChallengeView(challenge_token=token, expires_at=uow.now + LIFE["challenge"])


async def welcome(uow: UnitOfWork, settings: Settings, member: Held, factor: str) -> SignedInView:
    """A session for a held member who proved who they are, lastly by this ``factor``."""
    token = await open_session(uow, member.id, member.password_hash)
    if member.failed_sign_ins:
        await uow.execute(SUCCEEDED, member.id)
    if member.failed_sign_ins >= SUSPICIOUS:
        tell_of_failures(uow, member, token.partition("|")[0])
    await record(uow, "member.signed_in", ("member", member.id), after={"factor": factor})
    return signed_in(await get_session(uow, member.id, settings), token)


def tell_of_failures(uow: UnitOfWork, member: Held, token: str) -> None:
    """Mail a member that somebody got in after many failures."""
    request = current_request()
    values = {
        "name": member.name,
        "failures": member.failed_sign_ins,
        "signed_in_at": uow.now,
        "address": caller_network(),
        "agent": (request.agent if request is not None else None) or "unknown",
    }
    send_mail(uow, f"new_sign_in/{member.id}/{token}", Mail("new_sign_in", member.email, member.locale, values, member.zone))


async def refuse(kernel: Kernel, account: Account) -> None:
    """Leave a trace of a failed try: in the workspace's log, or in the platform's for an address nobody has."""
    async with working(kernel, account.tenant, SYSTEM, current_request_id()) as uow:

        async def note() -> None:
            uow.also(FAILED, account.id)
            await record(uow, "member.sign_in_failed", ("member", account.id))

        await perform(uow, note)


async def open_session(uow: UnitOfWork, member: int, password_hash: str, kind: str | None = None) -> str:
    """A token as it is shown, once: ``<id>|plxp_…``; raises InvalidCredentials when the password was changed.

    Unless told otherwise it is of the kind that belongs to the account: ``staff`` for Plixa's own, else ``panel``.
    """
    kind = kind or ("staff" if uow.tenant == PLATFORM else "panel")
    secret, request = mint(kind), current_request()
    agent = request.agent if request is not None else None
    number = await uow.insert(NEW_TOKEN, member, password_hash, kind, hashed(secret), agent, uow.now, uow.now + LIFE[kind])
    if number is None:
        raise InvalidCredentials
    return f"{number}|{secret}"


def signed_in(session: SessionView, token: str) -> SignedInView:
    """A session with the token that opens it."""
    return SignedInView(session.user, session.tenant, session.must_enable_two_factor, session.impersonated_by, token)


def tried(email: str, staff: bool) -> str:
    """The account whose tries are counted together: a member's and a staff person's of one address are two."""
    return f"staff/{email}" if staff else email


def acting(tenant: int, member: int, name: str) -> Actor:
    """Somebody who is just signing in, as events name them."""
    return Actor("staff" if tenant == PLATFORM else "member", member, name)
