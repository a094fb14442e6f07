"""Asking people in, letting them in, and letting them go."""

import secrets
from datetime import timedelta
from typing import Annotated, Final, Literal

import asyncpg
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from plixa.identity.commands.account import call_waiting
from plixa.identity.commands.sessions import Entrance, open_session, signed_in
from plixa.identity.domain import EMAIL, NewPassword, Text
from plixa.identity.queries.members import SignedInView, get_session
from plixa.identity.queries.sending import find_sending_bar
from plixa.kernel.audit import record
from plixa.kernel.auth import hashed
from plixa.kernel.errors import Conflict, Invalid, NotFound
from plixa.kernel.event_store import Actor
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.requests import current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.workspace.queries.settings import read_workspace
from plixa.workspace.queries.team import (
    INVITATION,
    InvitationExpired,
    InvitationInvalid,
    InvitationView,
    Invited,
    MemberView,
    count_seats,
    find_invited,
    get_member,
    get_seat_limit,
    invitation_view,
    state_of,
)

GOOD_FOR: Final = timedelta(days=7)
NEW: Final = """INSERT INTO invitation
(tenant_id, id, email, role, token_hash, sealed_token, invited_by, invited_by_name, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
LAPSE: Final = """UPDATE invitation SET cancelled_at = $3 WHERE tenant_id = $1 AND email = $2
AND accepted_at IS NULL AND cancelled_at IS NULL AND expires_at <= $3"""
CANCEL: Final = "UPDATE invitation SET cancelled_at = $3 WHERE tenant_id = $1 AND id = $2"
ACCEPT: Final = """UPDATE invitation SET accepted_at = $3 WHERE tenant_id = $1 AND id = $2
AND accepted_at IS NULL AND cancelled_at IS NULL AND expires_at > $3"""
JOIN: Final = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"""
KNOWN: Final = "SELECT 1 FROM member WHERE tenant_id = scope.tenant AND email = $2"
MEMBER: Final = "SELECT name, email, role, locale FROM member WHERE tenant_id = scope.tenant AND id = $2"
LIMIT: Final = "UPDATE member SET max_open = $3 WHERE tenant_id = $1 AND id = $2"
REMOVE: Final = "DELETE FROM member WHERE tenant_id = $1 AND id = $2 AND role <> 'owner'"


class SeatLimitReached(Conflict):
    code = "SEAT_LIMIT_REACHED"
    default = "Every seat of your plan is taken. Remove somebody, cancel an invitation, or take a larger plan."


class InvitationAlreadyAccepted(Conflict):
    code = "INVITATION_ALREADY_ACCEPTED"
    default = "This invitation was accepted. Remove the member instead."


class InvitationNotPending(Conflict):
    code = "INVITATION_NOT_PENDING"
    default = "This invitation waits for nobody any more. Make a new one."


class EmailInUse(Conflict):
    code = "EMAIL_IN_USE"
    default = "This address has an account already, which an invitation never touches. Ask to be invited at another address."


class CannotRemoveSelf(Invalid):
    code = "CANNOT_REMOVE_SELF"
    default = "Owners cannot remove themselves. Ownership would have to be transferred first."


class Invite(Struct, frozen=True):
    """Somebody to be asked in."""

    email: Annotated[str, Meta(max_length=254, pattern=EMAIL)]
    role: Literal["agent"] | None = None


class UpdateMember(Struct, frozen=True):
    """``max_open``: with so many open conversations Plixa gives them no more; null is no limit, absent = unchanged."""

    max_open: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET


class AcceptInvitation(Struct, frozen=True):
    """The link's token, and who accepts it."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Text
    password: NewPassword


async def invite(uow: UnitOfWork, settings: Settings, data: Invite) -> InvitationView:
    """Ask somebody in and hold a seat for them; raises SeatLimitReached, Invalid for who is there or was asked already."""
    email = data.email.lower()
    await uow.begin(seats(uow))
    if await uow.fetchrow(KNOWN, email) is not None:
        raise Invalid.field("email", "Is a member of this workspace already.")
    await uow.execute(LAPSE, email, uow.now)
    limit = await get_seat_limit(uow, settings)
    if await count_seats(uow) >= limit:
        raise SeatLimitReached(details={"limit": limit})
    number, token = await uow.number("invitation_number"), secrets.token_urlsafe(32)
    sealed = uow.kernel.vault.seal(token.encode(), place_of_token(uow.tenant, number))
    by = (uow.principal.user_id if uow.principal else None, uow.actor.name or "")
    try:
        await uow.execute(NEW, number, email, data.role or "agent", hashed(token), sealed, *by, uow.now, uow.now + GOOD_FOR)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "invitation_pending":
            raise
        raise Invalid.field("email", "Was invited already. Send that invitation again, or cancel it first.") from error
    view = await shown(uow, settings, number)
    await send_invitation(uow, view)
    await record(uow, "invitation.created", ("invitation", number), after={"role": view.role, "expires_at": view.expires_at.isoformat()})
    return view


async def resend_invitation(uow: UnitOfWork, settings: Settings, number: int) -> InvitationView:
    """The same mail once more: same link, same end."""
    await uow.begin(seats(uow))
    view = await shown(uow, settings, number)
    if view.status != "pending":
        raise InvitationNotPending
    await send_invitation(uow, view)
    await record(uow, "invitation.resent", ("invitation", number))
    return view


async def cancel_invitation(uow: UnitOfWork, number: int) -> None:
    """Take it back; its seat is free again."""
    await uow.begin(seats(uow))
    row = await uow.fetchrow(INVITATION, number)
    if row is None:
        raise NotFound
    state = state_of(row, uow.now)
    if state == "accepted":
        raise InvitationAlreadyAccepted
    if state != "cancelled":
        await uow.execute(CANCEL, number, uow.now)
        await record(uow, "invitation.cancelled", ("invitation", number), {"status": state}, {"status": "cancelled"})


async def accept_invitation(entrance: Entrance, data: AcceptInvitation) -> SignedInView:
    """A new member, signed in. One invitation lets one person in, and never touches an account that is there."""
    invited = await find_invited(entrance.kernel.system, data.token)
    stored = await entrance.passwords.choose(data.password, invited.email, data.name, invited.preview.workspace_name)
    number = await entrance.kernel.numbers.next("member_number")
    actor = Actor("member", number, data.name)
    async with working(entrance.kernel, invited.tenant, actor, current_request_id()) as uow:
        return await perform(uow, lambda: join(uow, entrance, invited, Newcomer(number, data.name, stored)))


class Newcomer(Struct, frozen=True):
    """Who comes in."""

    id: int
    name: str
    password_hash: str


async def join(uow: UnitOfWork, entrance: Entrance, invited: Invited, newcomer: Newcomer) -> SignedInView:
    """Take the seat that was held; a plan that has shrunk since may have none."""
    await uow.begin(seats(uow))
    bar = await find_sending_bar(uow)
    if bar is not None:
        raise bar
    if await uow.execute(ACCEPT, invited.id, uow.now) != "UPDATE 1":
        row = await uow.fetchrow(INVITATION, invited.id)
        raise InvitationExpired if row is not None and state_of(row, uow.now) == "expired" else InvitationInvalid
    limit = await get_seat_limit(uow, entrance.settings)
    if await count_seats(uow) >= limit:
        raise SeatLimitReached(details={"limit": limit})
    try:
        await uow.execute(JOIN, newcomer.id, newcomer.name, invited.email, newcomer.password_hash, invited.role, uow.now)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "member_email_key":
            raise
        raise EmailInUse from error
    token = await open_session(uow, newcomer.id, newcomer.password_hash)
    await record(uow, "invitation.accepted", ("member", newcomer.id), after={"invitation_id": invited.id, "role": invited.role})
    return signed_in(await get_session(uow, newcomer.id, entrance.settings), token)


async def update_member(uow: UnitOfWork, number: int, data: UpdateMember) -> MemberView:
    """Another limit; what they have already stays theirs. Raises NotFound."""
    await uow.begin(seats(uow))
    member = await get_member(uow, number)
    before, after = member.max_open, data.max_open
    if after is UNSET or after == before:
        return member
    await uow.execute(LIMIT, number, after)
    if after is None or (before is not None and after > before):
        call_waiting(uow, f"member/{number}")
    await record(uow, "member.updated", ("member", number), {"max_open": before}, {"max_open": after})
    return replace(member, max_open=after)


async def remove_member(uow: UnitOfWork, number: int) -> None:
    """End somebody's membership: their sessions end at once, their conversations are nobody's, their messages stay."""
    if uow.principal is not None and number == uow.principal.user_id:
        raise CannotRemoveSelf
    await uow.begin(seats(uow))
    row = await uow.fetchrow(MEMBER, number)
    if row is None or await uow.execute(REMOVE, number) != "DELETE 1":
        raise NotFound("There is no such member in this workspace.")
    workspace = await read_workspace(uow)
    by = msgspec.to_builtins(uow.actor)
    uow.enqueue(Effect("inbox.unassign_member", str(number), {"member_id": number, "by": by}))
    uow.enqueue(Effect("scheduling.leave_member", str(number), {"member_id": number}))
    values = {"name": row["name"], "workspace": workspace["name"]}
    mail = Mail("member_removed", row["email"], row["locale"] or workspace["locale"], values)
    send_mail(uow, f"member_removed/{number}", mail)
    await record(uow, "member.removed", ("member", number), {"name": row["name"], "role": row["role"]})


async def send_invitation(uow: UnitOfWork, view: InvitationView) -> None:
    """The mail with the link."""
    workspace = await read_workspace(uow)
    values = {
        "inviter": view.invited_by.name,
        "workspace": workspace["name"],
        "link": view.accept_url,
        "expires_at": view.expires_at,
    }
    mail = Mail("invitation", view.email, workspace["locale"], values, workspace["timezone"])
    send_mail(uow, f"invitation/{view.id}/{uow.now.isoformat()}", mail)


async def shown(uow: UnitOfWork, settings: Settings, number: int) -> InvitationView:
    """An invitation with its link; raises NotFound."""
    row = await uow.fetchrow(INVITATION, number)
    if row is None:
        raise NotFound
    token = uow.kernel.vault.open(row["sealed_token"], place_of_token(uow.tenant, number)).decode()
    return invitation_view(row, uow.now, f"{settings.public_url}/invitations/accept#token={token}")


def place_of_token(tenant: int, number: int) -> str:
    """Where an invitation's token belongs, as the vault seals it."""
    return f"invitation/{tenant}/{number}"


def seats(uow: UnitOfWork) -> int:
    """The lock under which seats of a workspace are taken and given up."""
    return lock_of(f"{uow.tenant}/seats")
