"""Appending without HTTP, in a process of its own: load a stream of about twenty events, decide, append, commit."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from multiprocessing import get_context
from random import Random
from typing import TypeVar

import asyncpg
import uvloop
from msgspec import Struct

from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.assembly import assemble
from plixa.kernel.audit import OPEN_LOG
from plixa.kernel.event_store import Actor, stream_id
from plixa.kernel.log import HEAD
from plixa.kernel.settings import load_settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from tests.bench.reference import append_for
from tests.bench.seed import now
from tests.bench.story import DAY, SECOND, Story

WRITERS = 10
"""As many as one process has connections."""
TENANT = 1
NEIGHBOURS = range(1_000_001, 1_000_001 + WRITERS)
"""A tenant for every writer."""
STREAMS, MESSAGES = 300, 7
"""Conversations of each, and messages of a conversation: with what happens around them about twenty events."""
ACTOR = Actor("member", 1, "Ana Souza")
LENGTHS = """SELECT w.number FROM unnest($2::bigint[], $3::uuid[]) AS w(number, stream)
WHERE (SELECT max(version) FROM event WHERE tenant_id = $1 AND stream_id = w.stream) BETWEEN 17 AND 24"""

T = TypeVar("T")


class Share(Struct, frozen=True):
    """What one writer writes to."""

    tenant: int
    numbers: list[int]


class Job(Struct, frozen=True):
    """Where, for how long, and who writes to what."""

    environ: dict[str, str]
    seconds: float
    shares: list[Share]


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


def housemates(numbers: list[int]) -> list[Share]:
    """Writers of one tenant, each with conversations of its own."""
    return [Share(TENANT, numbers[first::WRITERS]) for first in range(WRITERS) if numbers[first::WRITERS]]


def neighbours(environ: dict[str, str]) -> list[Share]:
    """Writers of as many tenants, which are seeded where they are not there yet."""
    shares = [Share(tenant, [tenant * STREAMS + each for each in range(STREAMS)]) for tenant in NEIGHBOURS]

    async def furnish(kernel: Kernel) -> None:
        await asyncio.gather(*(_furnish(kernel, share) for share in shares))

    uvloop.run(_with_kernel(environ, furnish))
    return shares


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
    return uvloop.run(_with_kernel(job.environ, lambda kernel: _append_for(kernel, job)))


async def _with_kernel(environ: dict[str, str], run: Callable[[Kernel], Awaitable[T]]) -> T:
    machinery = assemble(load_settings(environ), ())
    try:
        return await run(machinery.kernel)
    finally:
        await machinery.kernel.database.close()
        await machinery.kernel.system.close()
        await machinery.redis.aclose()


async def _append_for(kernel: Kernel, job: Job) -> float:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(_rename(kernel, share.tenant, share.numbers[0], "warm") for share in job.shares))
    done, serial, end = 0, count(), loop.time() + job.seconds

    async def write(share: Share) -> None:
        nonlocal done
        while loop.time() < end:
            for number in share.numbers:
                if loop.time() >= end:
                    return
                await _rename(kernel, share.tenant, number, f"Cliente {next(serial)} {end}")
                done += 1

    await asyncio.gather(*map(write, job.shares))
    return done / job.seconds


async def _rename(kernel: Kernel, tenant: int, number: int, name: str) -> None:
    async def command(uow: UnitOfWork) -> None:
        async with uow.edit(Conversation, number) as editor:
            editor.record(editor.state.rename(name))

    await _perform(kernel, tenant, command)


async def _furnish(kernel: Kernel, share: Share) -> None:
    """A tenant's log, and its conversations as they come about."""

    async def begin(uow: UnitOfWork) -> None:
        await uow.execute(OPEN_LOG)

    async with working(kernel, share.tenant) as uow:
        if await uow.fetchrow(HEAD):
            return
    await _perform(kernel, share.tenant, begin)
    for number in share.numbers:
        await _perform(kernel, share.tenant, partial(_open, number=number))


async def _open(uow: UnitOfWork, number: int) -> None:
    until = now()
    times = [until - DAY - (MESSAGES - each) * 60 * SECOND for each in range(MESSAGES)]
    ids = [number * MESSAGES + each for each in range(MESSAGES)]
    async with uow.create(Conversation(number=number)) as editor:
        editor.record(one.event for one in Story(1, number, until).tell(times, ids))


async def _perform(kernel: Kernel, tenant: int, command: Callable[[UnitOfWork], Awaitable[None]]) -> None:
    async with working(kernel, tenant, ACTOR, "bench") as uow:
        await perform(uow, lambda: command(uow))
