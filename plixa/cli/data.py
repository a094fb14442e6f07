"""Commands on what is stored: migrate, seed, rebuild, verify, read."""

import asyncio
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from plixa.cli.context import connected, settings_or_exit

if TYPE_CHECKING:
    from msgspec import Struct
    from rich.progress import Progress, TaskID

    from plixa.kernel.event_store import Recorded
    from plixa.kernel.settings import Settings
    from plixa.kernel.verify import Verdict

OWNER = """SELECT t.tenant_id FROM tenant t
WHERE EXISTS (SELECT FROM event e WHERE e.tenant_id = t.tenant_id AND e.stream_id = $1) LIMIT 1"""
Moment = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M%z"])


@click.command()
def migrate() -> None:
    """Bring the database up to this version."""
    from plixa.kernel import migrations

    with connected() as settings:
        migrations.migrate(str(settings.database_url))
    click.echo("The database is up to date.")


@click.command()
def demo() -> None:
    """Fill the demo workspace with three months of history, and print its sign-in."""
    from plixa import seeds
    from plixa.kernel import migrations

    with connected() as settings:
        migrations.migrate(str(settings.database_url))
        sign_in = seeds.seed_demo(settings)
        click.echo(f"{seeds.seed_history(settings)} conversations were added.")
    click.echo(sign_in_lines(sign_in))


@click.command()
@click.argument("projection")
@click.option("--tenant", type=int, help="Only this workspace.")
def rebuild(projection: str, tenant: int | None) -> None:
    """Build a read model anew from the log, beside the one in use, and swap them."""
    from plixa.kernel.rebuild import Busy, RebuildRunning
    from plixa.kernel.rebuild import rebuild as rebuild_projections
    from projections.registry import BY_NAME

    if projection not in BY_NAME:
        raise click.ClickException(f"There is no projection {projection}; there are: {', '.join(BY_NAME)}.")
    with connected() as settings, _progress() as progress:
        report = partial(_report, progress, progress.add_task(f"Rebuilding {projection}", total=None))
        try:
            count = asyncio.run(rebuild_projections(settings, BY_NAME[projection], tenant, report))
        except RebuildRunning as error:
            raise click.ClickException("Another rebuild is running. Wait until it has ended.") from error
        except Busy as error:
            raise click.ClickException("The tables are too busy to be exchanged. Nothing was changed; try again later.") from error
    click.echo(f"{projection} was rebuilt from {count} events.")


@click.command()
@click.option("--tenant", type=int, help="Only this workspace.")
def verify(tenant: int | None) -> None:
    """Check the hash chain of every log; exit code 1 when one is broken."""
    with connected() as settings, _progress() as progress:
        verdicts = asyncio.run(_verify(settings, tenant, progress))
    broken = [(verdict.tenant, verdict.fault) for verdict in verdicts if verdict.fault is not None]
    for number, fault in broken:
        click.echo(f"Workspace {number}, position {fault.position}: {fault.what}.", err=True)
    if broken:
        raise Exit(1)
    click.echo(f"{sum(verdict.proven for verdict in verdicts)} events of {len(verdicts)} workspaces are as recorded.")


async def _verify(settings: "Settings", tenant: int | None, progress: "Progress") -> "list[Verdict]":
    from plixa.kernel.assembly import assemble, running
    from plixa.kernel.verify import verify_chain
    from plixa.kernel.witness import find_witness

    machinery = assemble(settings, ())
    async with running(machinery):
        async with machinery.kernel.system.connection() as connection:
            every = [
                row["tenant_id"]
                for row in await connection.fetch("SELECT tenant_id FROM tenant UNION SELECT tenant_id FROM log_head ORDER BY 1")
            ]
        witness = await find_witness(machinery.kernel.media, settings.secret_keys)
        heads = witness.heads if witness else {}
        click.echo(
            f"Witnessed at {witness.at:%Y-%m-%d %H:%M} UTC." if witness else "Nothing was witnessed yet: the scheduler does so hourly.",
            err=True,
        )
        verdicts = []
        for each in sorted({*every, *heads}) if tenant is None else [tenant]:
            task = progress.add_task(f"Workspace {each}", total=None)
            report = partial(_report, progress, task)
            verdicts.append(await verify_chain(machinery.kernel.system, each, report, heads.get(each)))
            progress.remove_task(task)
    return verdicts


@click.command()
@click.argument("stream")
@click.option("--as-of", type=Moment, help="Only what was recorded until then: 2026-05-04T10:00:00+00:00.")
def events(stream: str, as_of: datetime | None) -> None:
    """Print a stream, such as conversation/42, as one JSON object a line."""
    kind, _, number = stream.partition("/")
    if not number.isdecimal():
        raise click.BadParameter("Name a stream such as conversation/42.", param_hint="STREAM")
    with connected() as settings:
        lines = asyncio.run(_history(settings, kind, int(number), as_of))
    if not lines:
        raise click.ClickException(f"{stream} has no events.")
    click.echo("\n".join(lines))


async def _history(settings: "Settings", kind: str, number: int, as_of: datetime | None) -> list[str]:
    from plixa.kernel.assembly import assemble, running
    from plixa.kernel.event_store import stream_id
    from plixa.kernel.log import read_stream
    from projections.registry import INLINE

    stream = stream_id(kind, number)
    machinery = assemble(settings, INLINE)
    async with running(machinery):
        async with machinery.kernel.system.connection() as connection:
            tenant = await connection.fetchval(OWNER, stream)
        facts = [] if tenant is None else await read_stream(machinery.kernel, tenant, stream, as_of)
    return [_line(fact) for fact in facts]


def _line(fact: "Recorded") -> str:
    import msgspec
    from eventsourcing.utils import get_topic

    shown = {
        "position": fact.position,
        "version": fact.version,
        "at": fact.at,
        "actor": fact.actor,
        "request_id": fact.request_id,
        "topic": get_topic(type(fact.event)),
        "event": fact.event,
    }
    return msgspec.json.encode(shown).decode()


def _report(progress: "Progress", task: "TaskID", done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


@click.command("export-openapi")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export_openapi(file: Path) -> None:
    """Write the OpenAPI document; needs no server."""
    import msgspec

    from plixa.app import create_app

    settings = settings_or_exit()
    nowhere = {"database_url": "postgresql:///plixa", "redis_url": "redis://127.0.0.1"}
    document = create_app(msgspec.structs.replace(settings, **nowhere)).openapi_schema.to_schema()
    file.write_bytes(msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2) + b"\n")
    click.echo(f"Wrote {file}.")


def sign_in_lines(sign_in: "Struct") -> str:
    """A label and a value a line, from the fields of what the seeds return."""
    import msgspec

    fields = msgspec.structs.asdict(sign_in)
    return "\n".join(f"{name.replace('_', ' ').capitalize():<16}{value}" for name, value in fields.items())


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
