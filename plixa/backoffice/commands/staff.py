"""Who is of Plixa's staff; decided by whoever runs Plixa, on the command line."""

from typing import Annotated, Final

import asyncpg
from msgspec import Meta, Struct

from plixa.backoffice.queries.staff import StaffView, find_staff, get_staff
from plixa.identity.commands.passwords import set_password
from plixa.identity.commands.sessions import end_impersonations, end_sessions
from plixa.identity.commands.two_factor import forget_two_factor
from plixa.identity.domain import EMAIL, NewPassword, Text
from plixa.identity.queries.two_factor import hold_member
from plixa.kernel.audit import record
from plixa.kernel.errors import Conflict
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.uow import UnitOfWork

INSERT: Final = """INSERT INTO member (tenant_id, id, name, email, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5, 'staff', $6)"""
SET_DEACTIVATED: Final = "UPDATE member SET deactivated_at = $3 WHERE tenant_id = $1 AND id = $2"


class AlreadyStaff(Conflict):
    code = "ALREADY_STAFF"
    default = "A staff person has this address already."


class NewStaff(Struct, frozen=True):
    """Somebody who joins the staff."""

    name: Text
    email: Annotated[str, Meta(max_length=254, pattern=EMAIL)]
    password: NewPassword


async def create_staff(uow: UnitOfWork, passwords: PasswordChecker, data: NewStaff) -> StaffView:
    """Add a staff person; raises AlreadyStaff. Somebody who is a member of a workspace too has two accounts."""
    password_hash = await passwords.choose(data.password, data.name, data.email)
    number, email = await uow.number("member_number"), data.email.lower()
    await uow.begin()
    try:
        await uow.execute(INSERT, number, data.name, email, password_hash, uow.now)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "member_staff_email_key":
            raise
        raise AlreadyStaff from error
    await record(uow, "staff.created", ("staff", number), after={"name": data.name, "email": email})
    return await get_staff(uow, number)


async def deactivate_staff(uow: UnitOfWork, email: str) -> StaffView:
    """A staff person left: their sessions and every impersonation by them end, and no password lets them in. Raises NotFound."""
    person = await find_staff(uow, email.lower())
    await hold_member(uow, person.id)
    if person.deactivated_at is None:
        await end_impersonations(uow, person.id)
        await end_sessions(uow, person.id)
        await uow.execute(SET_DEACTIVATED, person.id, uow.now)
        await record(uow, "staff.deactivated", ("staff", person.id), {"is_active": True}, {"is_active": False})
    return person


async def reactivate_staff(uow: UnitOfWork, email: str) -> StaffView:
    """They are back, with the password and the second factor they had; raises NotFound."""
    person = await find_staff(uow, email.lower())
    await hold_member(uow, person.id)
    if person.deactivated_at is not None:
        await uow.execute(SET_DEACTIVATED, person.id, None)
        await record(uow, "staff.reactivated", ("staff", person.id), {"is_active": False}, {"is_active": True})
    return person


async def reset_second_factor(uow: UnitOfWork, email: str) -> StaffView:
    """A staff person lost their second factor: it is off, their sessions end, and they are told by mail. Raises NotFound."""
    person = await find_staff(uow, email.lower())
    held = await hold_member(uow, person.id)
    if held.two_factor_confirmed_at is not None:
        await end_impersonations(uow, person.id)
        await forget_two_factor(uow, held)
        subject, enabled = ("staff", person.id), "two_factor_enabled"
        await record(uow, "staff.second_factor_reset", subject, {enabled: True}, {enabled: False})
    return person


async def reset_password(uow: UnitOfWork, passwords: PasswordChecker, email: str, password: str) -> StaffView:
    """Give a staff person another password, which ends their sessions and impersonations; raises NotFound."""
    person = await find_staff(uow, email.lower())
    password_hash = await passwords.choose(password, person.name, person.email)
    await set_password(uow, await hold_member(uow, person.id), password_hash)
    await record(uow, "staff.password_reset", ("staff", person.id))
    return person
