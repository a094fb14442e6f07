"""Asynchronous projections: each follows every tenant's log from its checkpoint, which is saved with the rows it stands for.

An event that cannot be folded stops its projection for its tenant, with everything before it saved: an error in the log and
``plixa_projection_stopped`` tell of it. It is never skipped; a restart, with mended code, tries again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from plixa.kernel import metrics
from plixa.kernel.bulk import execute, save_rows, send_rows
from plixa.kernel.envelope import refusal
from plixa.kernel.errors import Unavailable
from plixa.kernel.log import Log
from plixa.kernel.projection import Projection, Rows
from plixa.kernel.saving import load_rows, save_group_changes
from plixa.kernel.scan import Scan, together, uncollected
from plixa.kernel.uow import Kernel
from plixa.kernel.wake import Listener

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)

BATCH = 16_000
PARTS = 4
"""Of a batch: PostgreSQL saves one while we open the next."""
POLL_SECONDS = 1.0
TAKE = "SELECT position FROM checkpoint WHERE tenant_id = $1 AND projection = $2 FOR UPDATE SKIP LOCKED"
BEGIN = "INSERT INTO checkpoint (tenant_id, projection) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING position"
ADVANCE = "UPDATE checkpoint SET position = $3 WHERE tenant_id = $1 AND projection = $2"
BEHIND = """SELECT h.tenant_id, h.position - coalesce(c.position, 0) AS lag
FROM log_head h LEFT JOIN checkpoint c ON c.tenant_id = h.tenant_id AND c.projection = $1
WHERE h.position > coalesce(c.position, 0) ORDER BY h.tenant_id"""


class Stride(Struct, frozen=True):
    """How many events were taken in; ``full`` when there may be more behind them."""

    folded: int
    full: bool


NOTHING = Stride(0, full=False)


class Stretch(Struct, frozen=True):
    """Part of a log: at most ``limit`` events behind a position, up to ``head``."""

    after: int
    head: int
    limit: int


class Poisoned(Exception):
    """The next event of a tenant's log cannot be folded."""


class Follower(Protocol):
    """What follows the log, from checkpoints in its name."""

    @property
    def name(self) -> str: ...


Step = Callable[[Kernel, Any, int, int], Awaitable[Stride]]
"""Takes a follower so many events further in a tenant's log, and saves how far it has come."""


async def run_projectors(kernel: Kernel, listener: Listener, projections: Iterable[Projection[Any]]) -> None:
    """Keep every projection up to date, until cancelled; any number of processes may."""
    await keep_up(kernel, listener, projections, step)


async def keep_up(kernel: Kernel, listener: Listener, followers: Iterable[Follower], take: Step) -> None:
    """Keep up with the logs of all tenants, step by step."""
    async with asyncio.TaskGroup() as tasks:
        for follower in followers:
            tasks.create_task(follow(kernel, listener, follower, take))


async def follow(kernel: Kernel, listener: Listener, follower: Follower, take: Step) -> None:
    """One of them, for all tenants: at once where a wake-up comes, and by polling where none does."""
    stopped: set[int] = set()
    while True:
        # Listening begins before reading: what is committed in between still rouses us.
        news = asyncio.create_task(listener.wait(0, POLL_SECONDS))
        try:
            while await pass_over(kernel, follower, stopped, take):
                """Some tenant has more than a batch to go."""
            await asyncio.wait((news,))
        except Exception as error:
            if not isinstance(refusal(error), Unavailable):
                raise
            log.warning("Projection %s waits for its database: %r", follower.name, error)
            await asyncio.sleep(POLL_SECONDS)
        finally:
            news.cancel()


async def pass_over(kernel: Kernel, follower: Follower, stopped: set[int], take: Step) -> bool:
    """One batch for every tenant that is behind, so that none waits for a long one; True when there is more to do at once."""
    async with kernel.system.connection() as connection:
        behind = await connection.fetch(BEHIND, follower.name)
    metrics.PROJECTION_LAG.labels(follower.name).set(sum(row["lag"] for row in behind))
    more = False
    for tenant in (row["tenant_id"] for row in behind if row["tenant_id"] not in stopped):
        try:
            more |= (await advance(kernel, follower, tenant, take=take)).full
        except Poisoned as error:
            log.error("%s", error, exc_info=error.__cause__)
            stopped.add(tenant)
    metrics.PROJECTION_STOPPED.labels(follower.name).set(len(stopped))
    return more


async def catch_up(kernel: Kernel, projection: Projection[Any], tenant: int, batch: int = BATCH) -> int:
    """Fold everything behind the checkpoint; answers how many events concerned the projection. Raises Poisoned."""
    folded = 0
    while (done := await advance(kernel, projection, tenant, batch)).full:
        folded += done.folded
    return folded + done.folded


async def advance(kernel: Kernel, follower: Follower, tenant: int, batch: int = BATCH, take: Step | None = None) -> Stride:
    """Fold one batch, or what comes before the first event in it that cannot be folded; raises Poisoned when that is the first."""
    go: Step = take or step
    limit = batch
    while True:
        [done] = await asyncio.gather(go(kernel, follower, tenant, limit), return_exceptions=True)
        if not isinstance(done, BaseException):
            return done
        if not isinstance(done, Exception) or isinstance(refusal(done), Unavailable):
            raise done
        if limit == 1:
            raise Poisoned(f"Projection {follower.name} is stopped in the log of workspace {tenant}: {done!r}") from done
        limit //= 2


async def step(kernel: Kernel, projection: Projection[Any], tenant: int, limit: int) -> Stride:
    """Read, fold, and save rows, counters and checkpoint in one transaction. Nothing where another process is at it."""
    with uncollected():
        async with kernel.system.transaction() as connection:
            place = (tenant, projection.name)
            position = await connection.fetchval(TAKE, *place)
            if position is None:
                position = await connection.fetchval(BEGIN, *place)
            if position is None:
                return NOTHING
            head = await Log(connection, kernel.vault, tenant).head()
            scan = Scan(connection, kernel.vault, tenant, projection.topics)
            folded, through = await fold_parts(connection, projection, scan, Stretch(position, head, limit))
            await connection.execute(ADVANCE, *place, through)
            return Stride(folded, full=through < head)


async def fold_parts(connection: "asyncpg.Connection[Any]", projection: Projection[Any], scan: Scan, along: Stretch) -> tuple[int, int]:
    """Fold and save part after part, each while the next is opened; answers how many events that were, and up to which position."""
    rows, folded, taken, through = Rows(projection), 0, 0, along.after
    while through < along.head and taken < along.limit:
        sealed, through = await scan.fetch(through, along.head, min(-(-along.limit // PARTS), along.limit - taken))
        pieces = await send_rows(connection, scan.tenant, rows)
        _, facts = await together(execute(connection, pieces), scan.open(sealed))
        rows = Rows(projection)
        await load_rows(connection, scan.tenant, rows, facts)
        rows.fold_all(facts)
        await save_group_changes(connection, scan.tenant, rows)
        taken += len(sealed)
        folded += len(facts)
    await save_rows(connection, scan.tenant, rows)
    return folded, through
