"""The unit of work: one tenant, one transaction, one actor. Commands edit aggregates through it; it saves everything at once.

A command that only edits reads without a transaction, and all it leaves behind travels in one statement: read-model rows, counters,
outbox rows, stream keys and, last, the append to the tenant's log. Where a transaction was begun, the append and the commit follow in
one more round trip, so that the log's row is never held for longer than one.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from msgspec import Struct, field

from plixa.kernel.auth import Principal
from plixa.kernel.crypto import Vault, new_data_key, place_of_key
from plixa.kernel.database import Database, Lease
from plixa.kernel.editor import Circumstances, Editor
from plixa.kernel.errors import NotFound, StreamConflict
from plixa.kernel.event_store import SYSTEM, Actor, Aggregate, Recorded, stream_id, stream_lock
from plixa.kernel.idempotency import IdempotencyKey
from plixa.kernel.loading import BESIDE, load_many, load_statement
from plixa.kernel.media import MediaStore
from plixa.kernel.numbers import Numbers
from plixa.kernel.outbox import Effect, Outbox
from plixa.kernel.projection import Projection, Rows
from plixa.kernel.recall import Recall
from plixa.kernel.saving import (
    ERASE,
    NEW_STREAM,
    SNAPSHOT,
    TURN,
    Piece,
    append_and_commit,
    appended_of,
    entries,
    gathered,
    joined,
    load_rows,
    lost_race,
    row_pieces,
    save_at_once,
    save_group_changes,
    snapshots,
)
from plixa.kernel.tenancy import opening, scoped, turns
from plixa.kernel.wake import Waker

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R", bound=Struct)
T = TypeVar("T")

ATTEMPTS = 5


class Kernel(Struct, frozen=True):
    """What every unit of work shares in one process."""

    database: Database
    system: Database
    vault: Vault
    numbers: Numbers
    waker: Waker
    media: MediaStore
    inline: tuple[Projection[Any], ...] = ()
    recall: Recall[tuple[int, str, int], Any] = field(default_factory=Recall)
    crowded: Recall[UUID, bool] = field(default_factory=Recall)
    """Streams on which a writer of this process lost a race a moment ago."""
    trail_keys: dict[int, bytes] = field(default_factory=dict)
    """The keys of the audit trails, by tenant: each is made once and never changes."""

    def unit(self, tenant: int, actor: Actor = SYSTEM, request_id: str = "") -> "UnitOfWork":
        """A unit of work for one tenant."""
        return UnitOfWork(self, tenant, actor, request_id)


class UnitOfWork(Circumstances):
    """A tenant's transaction. It begins with the first write, or when it is saved; reads and edits before that stand alone."""

    def __init__(self, kernel: Kernel, tenant: int, actor: Actor, request_id: str) -> None:
        self.kernel, self.tenant, self.actor, self.request_id = kernel, tenant, actor, request_id
        self.idempotency: IdempotencyKey | None = None
        self.principal: Principal | None = None
        self.position = 0
        self.attempt = 0
        self._lease: Lease | None = None
        self._reset()

    def _reset(self) -> None:
        self.now = datetime.now(UTC)
        self.begun = False
        if self._lease is not None:
            self._lease.engaged = False
        self.recorded: list[Recorded] = []
        self.wrote = False
        """Was a plain row changed? The audit trail asks."""
        self._editors: dict[UUID, Editor[Any]] = {}
        self._staged: dict[str, Rows[Any]] = {}
        self._pieces: list[Piece] = []
        self._turns: list[int] = []
        self._alike: dict[str, list[tuple[Any, ...]]] = {}
        self._staging = True
        self._erased: list[UUID] = []
        self._outbox = Outbox()
        self._after: list[Callable[[], None]] = []

    # reading ------------------------------------------------------------------------------------------------------

    async def connection(self) -> "asyncpg.Connection[Any]":
        """The connection this unit of work holds until it closes."""
        if self._lease is None:
            self._lease = await self.kernel.database.lease()
        return self._lease.raw

    async def fetch(self, query: str, *arguments: Any) -> "list[asyncpg.Record]":
        """Rows of a SELECT in which ``scope.tenant`` is the tenant; ``arguments`` begin at ``$2``."""
        connection = await self.connection()
        await self._save_rows()
        return await connection.fetch(scoped(query), self.tenant, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> "asyncpg.Record | None":
        """The first row of ``fetch``, or None."""
        return next(iter(await self.fetch(query, *arguments)), None)

    async def row(self, projection: Projection[R], key: int) -> R | None:
        """One read-model row, as this unit of work has left it."""
        staged = self._staged.get(projection.name)
        if staged is not None and key in staged.now:
            return staged.now[key]
        found = await self.fetchrow(projection.table.select_one(), key)
        return None if found is None else projection.table.restore(found)

    async def data_key(self, stream: UUID) -> bytes:
        """The key of a stream's content; raises NotFound once it is erased."""
        found = await self.fetchrow("SELECT wrapped_key FROM stream_key WHERE tenant_id = scope.tenant AND stream_id = $2", stream)
        if found is None:
            raise NotFound
        return self.kernel.vault.open(found["wrapped_key"], place_of_key(self.tenant, stream))

    # writing ------------------------------------------------------------------------------------------------------

    async def begin(self, *locks: int) -> "asyncpg.Connection[Any]":
        """The connection, inside the transaction, once all ``locks`` are ours."""
        connection = await self.connection()
        if self.begun and not locks:
            return connection
        if self.begun:
            await connection.execute(turns(locks))
        else:
            if self._lease is not None:
                self._lease.engaged = True
            await connection.execute(opening(self.tenant, (*locks, *self._turns)))
            self.begun, self._turns = True, []
        if not self._editors:
            self.now = datetime.now(UTC)
        return connection

    async def execute(self, statement: str, *arguments: Any) -> str:
        """A statement of this transaction; ``$1`` is the tenant."""
        connection = await self.begin()
        status: str = await connection.execute(statement, self.tenant, *arguments)
        self.wrote |= not status.endswith(" 0")
        return status

    async def insert(self, statement: str, *arguments: Any) -> Any:
        """The first value a writing statement returns; ``$1`` is the tenant."""
        connection = await self.begin()
        value = await connection.fetchval(statement, self.tenant, *arguments)
        self.wrote |= value is not None
        return value

    def also(self, statement: str, *arguments: Any) -> None:
        """A writing statement that travels with the final one; ``$1`` is the tenant."""
        self.wrote = True
        self._pieces.append((statement, (self.tenant, *arguments)))

    def save_in_turn(self, lock: int) -> None:
        """Nothing is written before ``lock`` is ours. Whoever looked before that needs a constraint behind what they saw."""
        self._turns.append(lock)

    def also_row(self, statement: str, *values: Any) -> None:
        """A row for a writing statement that takes an array a column, from ``$2`` on: those of one statement travel together."""
        self.wrote = True
        self._alike.setdefault(statement, []).append(values)

    async def number(self, sequence: str) -> int:
        """A new public id."""
        return await self.kernel.numbers.next(sequence)

    def enqueue(self, effect: Effect) -> None:
        """Something to be done outside once this is committed."""
        self._outbox.add(effect, self.now)

    def erase(self, stream: UUID) -> None:
        """Destroy a stream's key with this commit: its content becomes unreadable for ever."""
        self._erased.append(stream)

    @asynccontextmanager
    async def edit(self, kind: type[A], number: int, wait: bool = True) -> AsyncIterator[Editor[A]]:
        """An aggregate as it stands now; raises NotFound when there is none, or no longer.

        What is recorded is only saved if nobody else recorded anything meanwhile; else the command runs again. Writers of a stream that is
        crowded wait for its lock first, and so do those that began a transaction before, unless they do not ``wait``.
        """
        editor = self._editors.get(stream_id(kind.KIND, number))
        if editor is None:
            editor = await self._load(kind, number, wait)
            self._editors[editor.stream] = editor
        staged = len(editor.facts)
        yield editor
        await self._stage(editor.facts[staged:])

    @asynccontextmanager
    async def together(self, kind: type[Aggregate], numbers: list[int]) -> AsyncIterator[None]:
        """A block that edits many aggregates: all are locked, in order, and loaded at its start; read models follow at its end."""
        connection = await self.begin(*(stream_lock(stream_id(kind.KIND, number)) for number in numbers))
        for number, row in await load_many(connection, self.tenant, kind, numbers, self._head(kind)):
            editor = self._open(kind(number=number), row)
            self._editors[editor.stream] = editor
        begun, self._staging = len(self.recorded), False
        yield
        self._staging = True
        await self._stage(self.recorded[begun:])

    @asynccontextmanager
    async def create(self, state: A, contact: int | None = None) -> AsyncIterator[Editor[A]]:
        """A new stream, whose content ``contact`` may later ask to have erased."""
        editor = Editor(self, state, 0, new_data_key())
        wrapped = self.kernel.vault.seal(editor.key, place_of_key(self.tenant, editor.stream))
        self.also_row(NEW_STREAM, editor.stream, contact, wrapped)
        self._editors[editor.stream] = editor
        yield editor
        await self._stage(editor.facts)

    def enlist(self, editor: Editor[Any]) -> None:
        """Save a new stream whose key is known already, and that no read model follows inline."""
        self._editors[editor.stream] = editor

    def edited(self) -> list[Editor[Any]]:
        """Every aggregate this unit of work holds."""
        return list(self._editors.values())

    async def _load(self, kind: type[A], number: int, wait: bool) -> Editor[A]:
        stream, head = stream_id(kind.KIND, number), self._head(kind)
        connection = await self.connection()  # first: by the time it is our turn, others may have lost a race
        if self.attempt:  # whoever lost has its turn now: others had better not overtake it
            self.kernel.crowded.put(stream, True)
        if (self.begun and wait) or self.kernel.crowded.get(stream):
            await self.begin(stream_lock(stream))
        row = await connection.fetchrow(load_statement(kind, head), self.tenant, stream, *([number] if head else []))
        if row is None:
            raise NotFound
        if not self.recorded:
            self.now = datetime.now(UTC)
        return self._open(kind(number=number), row)

    def _open(self, blank: A, row: "asyncpg.Record") -> Editor[A]:
        """The aggregate that was loaded; the row beside it is held as well."""
        head, stream = self._head(type(blank)), stream_id(blank.KIND, blank.number)
        if head is not None:
            self._hold(head, blank.number, row)
        return Editor.loaded(self, blank, self.kernel.vault.open(row["wrapped_key"], place_of_key(self.tenant, stream)), row)

    def _head(self, kind: type[Aggregate]) -> Projection[Any] | None:
        """The read model with a row an aggregate."""
        return next((projection for projection in self.kernel.inline if projection.head_of == kind.KIND), None)

    def _rows(self, projection: Projection[R]) -> Rows[R]:
        """The working set of a read model."""
        if projection.name not in self._staged:
            self._staged[projection.name] = Rows(projection)
        return self._staged[projection.name]

    def _hold(self, head: Projection[Any], number: int, record: "asyncpg.Record") -> None:
        """Keep the row that was loaded beside an aggregate."""
        rows = self._rows(head)
        if number not in rows.now:
            values = tuple(record)[BESIDE:]
            rows.hold(number, head.table.restore(values) if values[head.table.names.index(head.table.key)] is not None else None)

    async def _stage(self, facts: list[Recorded]) -> None:
        """Fold new events into the rows the answer shows."""
        connection, kinds = await self.connection(), {type(fact.event) for fact in facts}
        for projection in self.kernel.inline if facts and self._staging else ():
            if not projection.concerns(kinds):
                continue
            rows = self._rows(projection)
            await load_rows(connection, self.tenant, rows, facts, alone=not self.begun)
            for fact in facts:
                rows.fold(fact)
            if rows.group_changes:
                await save_group_changes(await self.begin(), self.tenant, rows)

    # saving -------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Save everything and end the transaction. Nothing is acknowledged before this returns."""
        outbox, facts = self._outbox.piece(self.tenant), self.recorded
        pieces = [
            *row_pieces(self.tenant, self._staged.values()),
            *gathered(SNAPSHOT, self.tenant, snapshots(self._editors.values(), self._erased)),
            *self._pieces,
            *(piece for statement, rows in self._alike.items() for piece in gathered(statement, self.tenant, rows)),
            *([outbox] if outbox is not None else []),
        ]
        appended = entries(self, self._editors, facts) if facts else None
        if self.begun or self._erased:
            await self._save_and_commit(pieces, appended)
        elif pieces or facts:
            pieces = [*((TURN, (self.tenant, lock)) for lock in sorted(self._turns)), *pieces]
            self.position = await save_at_once(await self.connection(), self.tenant, pieces, appended) or self.position
        for fact in facts:
            appended_of(fact.event.TOPIC).inc()
        if facts or outbox is not None:
            self.kernel.waker.wake(self.tenant)
        for call in self._after:
            call()
        self._reset()

    async def _save_and_commit(self, pieces: list[Piece], appended: tuple[Any, ...] | None) -> None:
        """End the transaction that was begun."""
        connection = await self.begin(*self._turns)
        if pieces:
            statement, arguments = joined(pieces)
            await connection.execute(statement, *arguments)
        for stream, erasure in product(self._erased, ERASE):
            await connection.execute(erasure, self.tenant, stream)
        if appended is None:
            await connection.execute("COMMIT")
        else:
            self.position = await append_and_commit(connection, appended)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call it once everything is saved; never if this attempt is undone."""
        self._after.append(call)

    def expect_others(self) -> None:
        """Whoever edits these streams in the next moment had better wait for their turn."""
        for stream in self._editors:
            self.kernel.crowded.put(stream, True)

    async def rollback(self) -> None:
        """Undo and forget everything of this attempt."""
        if self._lease is not None and self._lease.engaged and not self._lease.raw.is_closed():
            await self._lease.raw.execute("ROLLBACK")
        self._reset()

    def close(self) -> None:
        """Give the connection back; what was not committed is undone."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    async def _save_rows(self) -> None:
        """Before a read: let it see what was staged."""
        pieces = row_pieces(self.tenant, self._staged.values()) if self._staged else []
        if pieces:
            connection = await self.begin()
            for statement, arguments in pieces:
                await connection.execute(statement, *arguments)
            for rows in self._staged.values():
                rows.before = dict(rows.now)


async def perform(uow: UnitOfWork, command: Callable[[], Awaitable[T]], attempts: int = ATTEMPTS) -> T:
    """Run a command and commit, again from its start when it lost a race; raises StreamConflict after the last attempt."""
    for attempt in range(attempts):
        try:
            uow.attempt = attempt
            result = await command()
            await uow.commit()
        except asyncpg.PostgresError as error:
            lost = lost_race(error)
            if lost:
                uow.expect_others()
            await uow.rollback()
            if not lost:
                raise
        except Exception:
            await uow.rollback()
            raise
        else:
            return result
        await asyncio.sleep(random.uniform(0.5, 1.5) * 0.01 * 2**attempt)  # noqa: S311
    raise StreamConflict


@asynccontextmanager
async def working(kernel: Kernel, tenant: int, actor: Actor = SYSTEM, request_id: str = "") -> AsyncIterator[UnitOfWork]:
    """A unit of work for a block; commit inside it with ``perform``."""
    uow = kernel.unit(tenant, actor, request_id)
    try:
        yield uow
    finally:
        uow.close()
