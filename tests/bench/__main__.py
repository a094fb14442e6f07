"""``make bench``: ten minutes; ``--full``: every size, an hour. Exit code 1 when a promise is missed by more than the spread."""

import asyncio
import os
import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import click
import msgspec

from tests.bench.inprocess import suitable
from tests.bench.paths import Effort, measure
from tests.bench.plan import Size
from tests.bench.reference import TABLE
from tests.bench.report import Figure, Line, Report, Target
from tests.bench.seed import Order, Seeded, now, seed
from tests.bench.servers import Place, place, restored
from tests.bench.traffic import look_around

SIZES = (Size(10_000, 200_000), Size(100_000, 2_000_000), Size(1_000_000, 4_000_000))
"""A million conversations have four messages each: twenty would take longer to seed than the hour there is."""
NOTE = "seeded.json"
GROWTH = 1.5


def run(home: Path, size: Size, effort: Effort, only: frozenset[str]) -> Report:
    """Seed what is not there yet, and measure."""
    began = time.monotonic()
    with place(home) as where:
        seeded = prepare(where, size)
        asyncio.run(execute(where.endpoints.database_url, TABLE))
        known = asyncio.run(look_around(where.endpoints.database_url, seeded))
        numbers = asyncio.run(suitable(where.endpoints.database_url, seeded.conversations))
        lines = measure(where, known, numbers, effort, only)
    seconds = seeded.seconds | {"all": round(time.monotonic() - began, 1)}
    return Report(seeded.conversations, seeded.messages, seeded.events, machine(), seconds, lines)


def prepare(where: Place, size: Size) -> Seeded:
    """What the home was seeded with before, or now."""
    note = where.home / NOTE
    if note.exists():
        return msgspec.json.decode(note.read_bytes(), type=Seeded)
    keys = restored(where.environ)
    seeded = seed(Order(database_url=where.endpoints.database_url, secret_keys=keys, size=size, until=now()))
    note.write_bytes(msgspec.json.encode(seeded))
    return seeded


async def execute(database_url: str, statement: str) -> None:
    """One statement."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def machine() -> str:
    """What all this ran on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def growth(reports: list[Report]) -> list[Line]:
    """How much slower the slowest size is than the fastest, by our own requests a second."""
    rates: dict[str, list[float]] = {}
    for report in reports:
        for line in report.lines:
            if line.ours is not None:
                rates.setdefault(line.path, []).append(line.ours.median)
    slower = {path: max(found) / min(found) for path, found in rates.items()}
    return [Line(path, "growth", Figure([times], "×"), Target("at most", GROWTH)) for path, times in slower.items()]


@click.command()
@click.option("--full", is_flag=True, help="10,000, 100,000 and 1,000,000 conversations, and how the figures grow.")
@click.option("--conversations", default=100_000, help="With twenty messages each.")
@click.option("--seconds", default=2.0, help="Of one slice.")
@click.option("--slices", default=5, help="Of each path, and as many of the reference.")
@click.option("--only", multiple=True, help="list, open, search, slots, booking, reply, webhook, append, following, memory, start.")
@click.option("--home", type=click.Path(path_type=Path), help="Keep the seeded database here, and use it again.")
@click.option("--json", "out", type=click.Path(path_type=Path), default=Path("bench.json"), show_default=True)
@click.pass_context
def main(context: click.Context, /, **options: object) -> None:
    """Measure Plixa against programs as small as can be, on this machine, in this run."""
    chosen = msgspec.convert(options, Options, strict=False, dec_hook=lambda kind, value: kind(value))
    sizes = SIZES if chosen.full else (Size(chosen.conversations, chosen.conversations * 20),)
    effort = Effort(chosen.slices, chosen.seconds)
    reports = []
    for size in sizes:
        with TemporaryDirectory(prefix="plixa-bench-") as temporary:
            home = (chosen.home / str(size.conversations)) if chosen.home else Path(temporary)
            reports.append(run(home, size, effort, frozenset(chosen.only)))
        print(reports[-1], flush=True)
    grown = growth(reports) if len(reports) > 1 else []
    for line in grown:
        print(f"{line.path:<28} {line.figure!s:>16} {line.target!s:>6} {line.verdict}")
    chosen.out.write_bytes(msgspec.json.format(msgspec.json.encode([one.as_json() for one in reports]), indent=2))
    context.exit(1 if any(one.missed for one in reports) or any(line.verdict == "MISSED" for line in grown) else 0)


class Options(msgspec.Struct, frozen=True):
    """The command line."""

    full: bool
    conversations: int
    seconds: float
    slices: int
    only: tuple[str, ...]
    home: Path | None
    out: Path


if __name__ == "__main__":
    sys.exit(main())
