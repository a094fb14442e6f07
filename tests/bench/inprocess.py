"""Appending without HTTP, in a process of its own: load a stream of about twenty events, decide, append, commit."""

import asyncio
from itertools import count
from multiprocessing import get_context
from random import Random

import asyncpg
import uvloop
from msgspec import Struct

from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.assembly import assemble
from plixa.kernel.event_store import Actor, stream_id
from plixa.kernel.settings import load_settings
from plixa.kernel.uow import Kernel, perform, working
from tests.bench.reference import append_for

WRITERS = 10
"""As many as one process has connections."""
TENANT = 1
ACTOR = Actor("member", 1, "Ana Souza")
LENGTHS = """SELECT w.number FROM unnest($2::bigint[], $3::uuid[]) AS w(number, stream)
WHERE (SELECT max(version) FROM event WHERE tenant_id = $1 AND stream_id = w.stream) BETWEEN 17 AND 24"""


class Job(Struct, frozen=True):
    """Where, for how long, and which conversations."""

    environ: dict[str, str]
    seconds: float
    numbers: list[int]


async def suitable(database_url: str, conversations: int) -> list[int]:
    """Conversations of about twenty events."""
    numbers = Random(7).sample(range(1, conversations + 1), min(conversations, 20_000))
    connection = await asyncpg.connect(database_url)
    try:
        streams = [stream_id(Conversation.KIND, number) for number in numbers]
        found = [row["number"] for row in await connection.fetch(LENGTHS, TENANT, numbers, streams)]
    finally:
        await connection.close()
    return found or numbers


def appends(job: Job) -> float:
    """Ours; commits a second."""
    with get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_ours, (job,)))


def reference_appends(job: Job) -> float:
    """Begin, one insert, commit; commits a second."""
    with get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_theirs, (job,)))


def _theirs(job: Job) -> float:
    return uvloop.run(append_for(job.environ["PLIXA_BENCH_DATABASE"], job.seconds, WRITERS))


def _ours(job: Job) -> float:
    return uvloop.run(_append_for(job))


async def _append_for(job: Job) -> float:
    """Every writer has conversations of its own."""
    machinery = assemble(load_settings(job.environ), ())
    kernel = machinery.kernel
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(_rename(kernel, number, "warm") for number in job.numbers[:WRITERS]))
    done, serial, end = 0, count(), loop.time() + job.seconds

    async def write(numbers: list[int]) -> None:
        nonlocal done
        while loop.time() < end:
            for number in numbers:
                if loop.time() >= end:
                    return
                await _rename(kernel, number, f"Cliente {next(serial)} {end}")
                done += 1

    await asyncio.gather(*(write(job.numbers[first::WRITERS]) for first in range(WRITERS) if job.numbers[first::WRITERS]))
    for database in (kernel.database, kernel.system):
        await database.close()
    await machinery.redis.aclose()
    return done / job.seconds


async def _rename(kernel: Kernel, number: int, name: str) -> None:
    async with working(kernel, TENANT, ACTOR, "bench") as uow:

        async def command() -> None:
            async with uow.edit(Conversation, number) as editor:
                editor.record(editor.state.rename(name))

        await perform(uow, command)
