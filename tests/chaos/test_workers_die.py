"""What a dead worker held is taken up soon, once; what kills every worker is set aside, and the rest goes on."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from plixa.kernel.delivery import ATTEMPTS, LEASE_SECONDS
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import Kernel, perform, working
from tests.chaos.faulty_worker import TRACE
from tests.chaos.world import Place, Process, stopping, until

pytestmark = pytest.mark.chaos

SOON = 35.0
"""Seconds from a kill to the next attempt, at most."""
HELD = 8
AT_ONCE = """UPDATE outbox SET due_at = now(), lease_until = NULL, queued_until = NULL
WHERE tenant_id = $1 AND kind = $2 AND state IN ('waiting', 'running') AND (lease_until IS NULL OR $3)"""
STATES = "SELECT kind, key, state, attempts, error FROM outbox WHERE tenant_id = $1 AND kind LIKE 'chaos.%' ORDER BY id"


class Line(Struct, frozen=True):
    """What an effect wrote."""

    what: str
    kind: str
    key: str
    attempt: int
    in_doubt: bool
    pid: int


class Yard:
    """A tenant without people, whose outbox holds nothing but faulty effects."""

    def __init__(self, place: Place, kernel: Kernel, tenant: int, file: Path) -> None:
        self.place, self.kernel, self.tenant, self._file = place, kernel, tenant, file

    def worker(self) -> Process:
        """One more."""
        return Process(self.place, "-m", "tests.chaos.faulty_worker", environ={TRACE: str(self._file)})

    def lines(self, what: str, kind: str) -> list[Line]:
        """What the effects of a kind wrote so far."""
        words = [line.split() for line in self._file.read_text().splitlines()]
        lines = [Line(one[0], one[1], one[2], int(one[3]), one[4] == "True", int(one[5])) for one in words]
        return [line for line in lines if (line.what, line.kind) == (what, f"chaos.{kind}")]

    async def enqueue(self, kind: str, *keys: str, order: str | None = None) -> None:
        """Ask for effects."""
        async with working(self.kernel, self.tenant) as uow:

            async def ask() -> None:
                await uow.begin()
                for key in keys:
                    uow.enqueue(Effect(f"chaos.{kind}", key, order=order))

            await perform(uow, ask)

    async def states(self, kind: str) -> dict[str, tuple[str, int]]:
        """State and attempts of the effects of a kind."""
        async with self.kernel.system.connection() as connection:
            rows = await connection.fetch(STATES, self.tenant)
        return {row["key"]: (row["state"], row["attempts"]) for row in rows if row["kind"] == f"chaos.{kind}"}

    async def are(self, state: str, kind: str) -> bool:
        """Have all effects of a kind come to a state?"""
        return {one for one, _ in (await self.states(kind)).values()} == {state}

    async def hasten(self, kind: str, *, held: bool) -> None:
        """Let the pauses of a kind be over, and the leases too where a dead worker ``held`` them."""
        async with self.kernel.system.connection() as connection:
            await connection.execute(AT_ONCE, self.tenant, f"chaos.{kind}", held)

    async def began(self, kind: str, times: int) -> None:
        """Until so many attempts at a kind began."""

        async def often() -> bool:
            return len(self.lines("began", kind)) >= times

        await until(often, SOON, f"{times} attempts at {kind}", pause=0.02)


@pytest.fixture
async def yard(chaos_place: Place, chaos_kernel: Kernel, tmp_path: Path) -> Yard:
    file = tmp_path / "trace"
    file.touch()
    return Yard(chaos_place, chaos_kernel, await chaos_kernel.numbers.next("tenant_number"), file)


@asynccontextmanager
async def reborn(worker: Process) -> AsyncIterator[None]:
    """Start a worker again whenever it has died, as its supervisor does."""
    over = asyncio.Event()

    async def attend() -> None:
        while not over.is_set():
            worker.start()
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attend())
        try:
            yield
        finally:
            over.set()


async def test_what_kills_every_worker_is_parked_and_the_others_flow_on(yard: Yard) -> None:
    await yard.enqueue("leave", "poison", order="thread")
    await yard.enqueue("note", "behind-the-poison", order="thread")
    await yard.enqueue("fail", "broken")
    with stopping(worker := yard.worker()):
        async with reborn(worker):
            for attempt in range(1, ATTEMPTS + 1):
                await yard.began("leave", attempt)
                await yard.enqueue("note", f"beside-attempt-{attempt}")
                await until(lambda: died(worker, yard, attempt), 10, "the worker died")  # noqa: B023 - awaited at once
                await yard.hasten("leave", held=True)
            await until(lambda: yard.are("parked", "leave"), SOON, "the poison is parked")
            await until(lambda: parked_at_last(yard), SOON, "what only fails is parked")
            await until(lambda: yard.are("done", "note"), SOON, "the others are done")
    assert [await yard.states(kind) for kind in ("leave", "fail")] == [{"poison": ("parked", 5)}, {"broken": ("parked", 5)}]
    assert len(yard.lines("began", "leave")) == ATTEMPTS
    assert len(yard.lines("began", "fail")) in range(1, ATTEMPTS + 1)  # the poison may end a worker that has only claimed its neighbour
    assert len(await yard.states("note")) == ATTEMPTS + 1
    assert len(yard.lines("done", "note")) in range(1, ATTEMPTS + 2)  # or that has done it and not yet said so


async def parked_at_last(yard: Yard) -> bool:
    """Without the pauses between its attempts."""
    await yard.hasten("fail", held=False)
    return await yard.are("parked", "fail")


async def died(worker: Process, yard: Yard, attempt: int) -> bool:
    """Is the process of this attempt gone?"""
    pid = yard.lines("began", "leave")[attempt - 1].pid
    return worker.pid != pid or not worker.alive


async def test_what_a_killed_worker_held_begins_again_within_35_seconds_and_what_lasts_is_begun_once(yard: Yard) -> None:
    keys = [f"held-{number}" for number in range(HELD)]
    first = yard.worker()
    with stopping(first):
        await yard.enqueue("linger", *keys)
        await yard.began("linger", HELD)
        others = [yard.worker(), yard.worker()]
        with stopping(*others):
            await asyncio.to_thread(first.kill)
            killed = time.monotonic()
            await yard.enqueue("labour", "long")
            await yard.began("linger", 2 * HELD)
            assert time.monotonic() - killed <= SOON
            await until(lambda: yard.are("done", "linger"), 10, "everything held is done")
            await until(lambda: yard.are("done", "labour"), SOON, "what lasts is done")
    begun = Counter((line.key, line.attempt, line.in_doubt) for line in yard.lines("began", "linger"))
    assert begun == Counter([*((key, 1, False) for key in keys), *((key, 2, True) for key in keys)])
    assert Counter(line.key for line in yard.lines("done", "linger")) == Counter(keys)
    assert len(yard.lines("began", "labour")) == 1


async def test_a_worker_that_slept_through_its_lease_lets_go_of_what_is_no_longer_its_own(yard: Yard) -> None:
    sleeper = yard.worker()
    with stopping(sleeper):
        await yard.enqueue("linger", "dropped")
        await yard.began("linger", 1)
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            with stopping(yard.worker()):
                await until(lambda: yard.are("done", "linger"), SOON, "another worker did it")
                assert yard.lines("left", "linger") == []
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)

        async def left() -> bool:
            return bool(yard.lines("left", "linger"))

        await until(left, LEASE_SECONDS / 2, "the sleeper let go")
    assert await yard.states("linger") == {"dropped": ("done", 2)}
