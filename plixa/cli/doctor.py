"""``plixa doctor``: look at everything Plixa stands on and say what to do."""

import asyncio
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from plixa.cli.context import connected

if TYPE_CHECKING:
    from plixa.kernel.health import Check
    from plixa.kernel.settings import Settings


@click.command()
def doctor() -> None:
    """Check settings, servers, clock, gateway, mail, disk, migrations and what workers left undone; exit code 1 when something is wrong."""
    with connected() as settings:
        checks = asyncio.run(_examine(settings))
    _show(checks)
    if not all(check.well for check in checks):
        raise Exit(1)


async def _examine(settings: "Settings") -> "list[Check]":
    import msgspec

    from plixa.kernel.health import Check, disk_check, gateway_check, redis_checks

    checks = [Check("settings", f"{settings.environment}, home {settings.home}")]
    checks += await _database(settings)
    checks += await redis_checks(str(settings.redis_url))
    gateway = await gateway_check(settings.gateway_url)
    if settings.evolution_url is None and not gateway.well:
        gateway = msgspec.structs.replace(gateway, found="the sandbox gateway runs with plixa up", advice=None)
    return [*checks, gateway, await _mail(settings), await _google(settings), disk_check(settings.home)]


async def _database(settings: "Settings") -> "list[Check]":
    import asyncpg

    from plixa.kernel.database import SYSTEM_ROLE
    from plixa.kernel.health import Check, clock_check, database_checks, migration_check, work_checks
    from projections.registry import ASYNC

    try:
        connection = await asyncpg.connect(settings.database_url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Check("database", str(error) or "no answer", "Start the server, or correct PLIXA_DATABASE_URL.")]
    try:
        checks = [*await database_checks(connection), await clock_check(connection), await migration_check(connection)]
        if checks[-1].well:
            await connection.execute(f"SET ROLE {SYSTEM_ROLE}")
            checks += await work_checks(connection, [projection.name for projection in ASYNC])
        return checks
    finally:
        await connection.close()


async def _mail(settings: "Settings") -> "Check":
    from plixa.kernel.health import Check
    from plixa.notifications.client import MailError, create_mailer

    mailer = create_mailer(settings)
    if mailer.keeps:
        advice = "Set PLIXA_RESEND_API_KEY or PLIXA_SMTP_URL: mails reach nobody." if settings.environment == "production" else None
        return Check("mail", "the local mailbox", advice)
    try:
        await mailer.check()
    except MailError as error:
        return Check("mail", f"{mailer.name}: {error}", "Correct PLIXA_RESEND_API_KEY or PLIXA_SMTP_URL, or wait for the server.")
    return Check("mail", mailer.name)


async def _google(settings: "Settings") -> "Check":
    from plixa.kernel.health import Check
    from plixa.scheduling.client import GoogleError, create_google

    google = create_google(settings)
    if google is None:
        return Check("google calendar", "not set up: members cannot connect theirs, feeds work")
    try:
        await google.check()
    except GoogleError as error:
        advice = "Correct PLIXA_GOOGLE_CLIENT_ID and PLIXA_GOOGLE_CLIENT_SECRET, or wait for Google."
        return Check("google calendar", str(error), advice)
    return Check("google calendar", "told of changes" if google.can_be_told else "read every ten minutes: changes are told to https only")


def _show(checks: "list[Check]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "Looked at", "Found", "What to do")
    for check in checks:
        table.add_row("[green]✓" if check.well else "[red]✗", check.name, check.found, check.advice or "")
    Console().print(table)
