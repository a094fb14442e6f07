"""Commands on Plixa's own staff, who sign in at ``/v1/admin/auth/login``."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import rich_click as click

from plixa.cli.context import connected

if TYPE_CHECKING:
    from plixa.kernel.passwords import PasswordChecker
    from plixa.kernel.settings import Settings
    from plixa.kernel.uow import UnitOfWork

T = TypeVar("T")
ask_option = click.option("--ask-password", is_flag=True, help="Ask for the password instead of making one.")


@click.group()
def staff() -> None:
    """Plixa's own staff: who may sign in to the backoffice."""


@staff.command("create")
@click.argument("name")
@click.argument("email")
@ask_option
def create(name: str, email: str, ask_password: bool) -> None:
    """Add a staff person, and show their password once."""
    import msgspec

    from plixa.backoffice.commands.staff import NewStaff, create_staff

    password = new_password(ask_password)
    try:
        data = msgspec.convert({"name": name, "email": email, "password": password}, NewStaff)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"{error}.") from error
    person = run(lambda uow, passwords: create_staff(uow, passwords, data))
    click.echo(f"{person.name} <{person.email}> is of the staff now.")
    show(password, ask_password)


@staff.command("list")
def list_all() -> None:
    """Show everybody of the staff."""
    from plixa.backoffice.queries.staff import list_staff

    for person in run(lambda uow, _: list_staff(uow)):
        factor = "2FA" if person.two_factor_enabled else "no 2FA"
        until = f"  until {person.deactivated_at:%Y-%m-%d}" if person.deactivated_at else ""
        click.echo(f"{person.id}  {person.name} <{person.email}>  {factor}  since {person.created_at:%Y-%m-%d}{until}")


@staff.command("deactivate")
@click.argument("email")
def deactivate(email: str) -> None:
    """Let a staff person in no more; their sessions, also as somebody else, end at once."""
    from plixa.backoffice.commands.staff import deactivate_staff

    person = run(lambda uow, _: deactivate_staff(uow, email))
    click.echo(f"{person.name} <{person.email}> is no longer of the staff.")


@staff.command("reactivate")
@click.argument("email")
def reactivate(email: str) -> None:
    """Let a staff person in again who was deactivated."""
    from plixa.backoffice.commands.staff import reactivate_staff

    person = run(lambda uow, _: reactivate_staff(uow, email))
    click.echo(f"{person.name} <{person.email}> is of the staff again.")


@staff.command("reset-2fa")
@click.argument("email")
def reset_two_factor(email: str) -> None:
    """Switch off the second factor of a staff person who lost it; their sessions end at once."""
    from plixa.backoffice.commands.staff import reset_second_factor

    person = run(lambda uow, _: reset_second_factor(uow, email))
    click.echo(f"{person.name} <{person.email}> signs in with their password alone.")


@staff.command("reset-password")
@click.argument("email")
@ask_option
def reset_password(email: str, ask_password: bool) -> None:
    """Give a staff person another password, shown once; their sessions end at once."""
    from plixa.backoffice.commands import staff as commands

    password = new_password(ask_password)
    person = run(lambda uow, passwords: commands.reset_password(uow, passwords, email, password))
    click.echo(f"{person.name} <{person.email}> has a new password.")
    show(password, ask_password)


def new_password(ask: bool) -> str:
    """What was typed twice, or a random one."""
    import secrets

    if not ask:
        return secrets.token_urlsafe(15)
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not 8 <= len(password) <= 256:
        raise click.ClickException("A password has 8 to 256 characters.")
    return password


def show(password: str, was_asked: bool) -> None:
    """A password that was made here, this once."""
    if not was_asked:
        click.echo(f"Password: {password}")


def run(command: "Callable[[UnitOfWork, PasswordChecker], Awaitable[T]]") -> T:
    """Do something in the platform's tenant; a refusal becomes one sentence and the exit code 1."""
    from plixa.kernel.errors import PlixaError

    with connected() as settings:
        try:
            return asyncio.run(_in_platform(settings, command))
        except PlixaError as error:
            raise click.ClickException(error.message) from error


async def _in_platform(settings: "Settings", command: "Callable[[UnitOfWork, PasswordChecker], Awaitable[T]]") -> T:
    from plixa.kernel.assembly import assemble, running
    from plixa.kernel.audit import PLATFORM
    from plixa.kernel.passwords import PasswordChecker
    from plixa.kernel.uow import perform, working
    from projections.registry import INLINE

    machinery, passwords = assemble(settings, INLINE), PasswordChecker(settings.argon2)
    try:
        async with running(machinery), working(machinery.kernel, PLATFORM) as uow:
            return await perform(uow, lambda: command(uow, passwords))
    finally:
        passwords.close()
