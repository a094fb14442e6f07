"""The unit of work: one tenant, one transaction, one actor. Commands edit aggregates through it; it saves everything at once.

What a command leaves behind travels in one statement: read-model rows, counters, outbox rows, stream keys. The append to the tenant's log
and the commit follow in one more round trip, for which alone the log's row is held.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from msgspec import Struct, field

from plixa.kernel.auth import Principal
from plixa.kernel.crypto import Vault, new_data_key, place_of_key
from plixa.kernel.database import Database, Lease
from plixa.kernel.editor import Circumstances, Editor
from plixa.kernel.errors import NotFound, StreamConflict
from plixa.kernel.event_store import (
    SYSTEM,
    Actor,
    Aggregate,
    EventMapper,
    Recorded,
    replay,
    stream_id,
    stream_lock,
)
from plixa.kernel.idempotency import IdempotencyKey
from plixa.kernel.loading import BESIDE, END, load_statement
from plixa.kernel.media import MediaStore
from plixa.kernel.metrics import EVENTS_APPENDED
from plixa.kernel.numbers import Numbers
from plixa.kernel.outbox import Effect, Outbox
from plixa.kernel.projection import Projection, Rows
from plixa.kernel.recall import Recall
from plixa.kernel.saving import NEW_STREAM, TOLD, Piece, append_script, joined, load_rows, row_pieces, save_group_changes, snapshot_pieces
from plixa.kernel.tenancy import opening, scoped
from plixa.kernel.wake import Waker

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R", bound=Struct)
T = TypeVar("T")

ATTEMPTS = 5
ERASE = (
    "DELETE FROM snapshot WHERE tenant_id = $1 AND stream_id = $2",
    "DELETE FROM stream_key WHERE tenant_id = $1 AND stream_id = $2",
)


class Kernel(Struct, frozen=True):
    """What every unit of work shares in one process."""

    database: Database
    system: Database
    vault: Vault
    numbers: Numbers
    waker: Waker
    media: MediaStore
    inline: tuple[Projection[Any], ...] = ()
    recall: Recall[tuple[int, str, int], str] = field(default_factory=Recall)

    def unit(self, tenant: int, actor: Actor = SYSTEM, request_id: str = "") -> "UnitOfWork":
        """A unit of work for one tenant."""
        return UnitOfWork(self, tenant, actor, request_id)


class UnitOfWork(Circumstances):
    """A tenant's transaction. It begins with the first edit or write; reads before that stand alone."""

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
        self._editors: dict[UUID, Editor[Any]] = {}
        self._staged: dict[str, Rows[Any]] = {}
        self._pieces: list[Piece] = []
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
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

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
            for lock in sorted(locks):
                await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
        else:
            if self._lease is not None:
                self._lease.engaged = True
            await connection.execute(opening(self.tenant, locks))
            self.begun = True
        if not self._editors:
            self.now = datetime.now(UTC)
        return connection

    async def execute(self, statement: str, *arguments: Any) -> str:
        """A statement of this transaction; ``$1`` is the tenant."""
        connection = await self.begin()
        status: str = await connection.execute(statement, self.tenant, *arguments)
        return status

    async def insert(self, statement: str, *arguments: Any) -> Any:
        """The first value a writing statement returns; ``$1`` is the tenant."""
        connection = await self.begin()
        return await connection.fetchval(statement, self.tenant, *arguments)

    def also(self, statement: str, *arguments: Any) -> None:
        """A writing statement that travels with the final one; ``$1`` is the tenant."""
        self._pieces.append((statement, (self.tenant, *arguments)))

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
        """An aggregate under its stream's lock; raises NotFound when there is none, or no longer.

        Without ``wait`` the lock is only waited for once a race was lost: for writers that seldom meet another.
        """
        editor = self._editors.get(stream_id(kind.KIND, number))
        if editor is None:
            editor = await self._load(kind, number, wait)
            self._editors[editor.stream] = editor
        staged = len(editor.facts)
        yield editor
        await self._stage(editor.facts[staged:])

    @asynccontextmanager
    async def create(self, state: A, contact: int | None = None) -> AsyncIterator[Editor[A]]:
        """A new stream, whose content ``contact`` may later ask to have erased."""
        await self.begin()
        editor = Editor(self, state, 0, new_data_key())
        wrapped = self.kernel.vault.seal(editor.key, place_of_key(self.tenant, editor.stream))
        self.also(NEW_STREAM, editor.stream, contact, wrapped)
        self._editors[editor.stream] = editor
        yield editor
        await self._stage(editor.facts)

    @asynccontextmanager
    async def append(self, kind: type[A], number: int) -> AsyncIterator[Editor[A]]:
        """The end of a stream that nobody decides on: begun with its first event, and never read to be added to."""
        stream = stream_id(kind.KIND, number)
        editor = self._editors.get(stream)
        if editor is None:
            connection = await self.begin(stream_lock(stream))
            row = await connection.fetchrow(END, self.tenant, stream)
            wrapped, version = row or (None, 0)
            if wrapped is None:
                key = new_data_key()
                self.also(NEW_STREAM, stream, None, self.kernel.vault.seal(key, place_of_key(self.tenant, stream)))
            else:
                key = self.kernel.vault.open(wrapped, place_of_key(self.tenant, stream))
            editor = self._editors[stream] = Editor(self, kind(number=number), version, key)
        staged = len(editor.facts)
        yield editor
        await self._stage(editor.facts[staged:])

    async def _load(self, kind: type[A], number: int, wait: bool) -> Editor[A]:
        stream = stream_id(kind.KIND, number)
        connection = await self.begin(stream_lock(stream)) if wait or self.attempt else await self.begin()
        head = next((projection for projection in self.kernel.inline if projection.head_of == kind.KIND), None)
        place = (self.tenant, stream, kind.topics(), kind.snapshot_topic())
        row = await connection.fetchrow(load_statement(head), *place, *([number] if head else []))
        if row is None:
            raise NotFound
        if head is not None:
            self._hold(head, number, row)
        key = self.kernel.vault.open(row["wrapped_key"], place_of_key(self.tenant, stream))
        mapper = EventMapper(key)
        state = kind(number=number) if row["snapshot"] is None else mapper.open_state(kind, row["snapshot"])
        state = replay(state, map(mapper.open, row["topics"] or (), row["payloads"] or ()))
        return Editor(self, state, row["version"] or row["snapshot_version"] or 0, key)

    def _rows(self, projection: Projection[R]) -> Rows[R]:
        """The working set of a read model."""
        rows = self._staged.get(projection.name)
        if rows is None:
            rows = self._staged[projection.name] = Rows(projection)
        return rows

    def _hold(self, head: Projection[Any], number: int, record: "asyncpg.Record") -> None:
        """Keep the row that was loaded beside an aggregate."""
        rows = self._rows(head)
        if number not in rows.now:
            values = tuple(record)[BESIDE:]
            rows.hold(number, head.table.restore(values) if values[head.table.names.index(head.table.key)] is not None else None)

    async def _stage(self, facts: list[Recorded]) -> None:
        """Fold new events into the rows the answer shows."""
        connection = await self.begin()
        for projection in self.kernel.inline if facts else ():
            rows = self._rows(projection)
            await load_rows(connection, self.tenant, rows, facts)
            for fact in facts:
                rows.fold(fact)
            await save_group_changes(connection, self.tenant, rows)

    # saving -------------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Save everything and end the transaction. Nothing is acknowledged before this returns."""
        outbox = self._outbox.piece(self.tenant)
        if not self.begun and not self._pieces and outbox is None:
            self._tell_committed()
            return
        connection = await self.begin()
        pieces = [
            *row_pieces(self.tenant, self._staged.values()),
            *snapshot_pieces(self.tenant, self._editors.values(), self._erased),
            *self._pieces,
            *([outbox] if outbox is not None else []),
        ]
        if pieces:
            statement, arguments = joined(pieces)
            await connection.execute(statement, *arguments)
        for stream in self._erased:
            for erasure in ERASE:
                await connection.execute(erasure, self.tenant, stream)
        facts = self.recorded
        await self._append(connection, facts)
        if facts or outbox is not None:
            self.kernel.waker.wake(self.tenant)
        self._tell_committed()
        self._reset()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call it once everything is saved; never if this attempt is undone."""
        self._after.append(call)

    def _tell_committed(self) -> None:
        after, self._after = self._after, []
        for call in after:
            call()

    async def _append(self, connection: "asyncpg.Connection[Any]", facts: list[Recorded]) -> None:
        """Append and commit. The position comes back as a notice: the script answers nothing else."""
        if not facts:
            await connection.execute("COMMIT")
            return

        def heard(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
            told = str(getattr(message, "message", ""))
            if told.startswith(TOLD):
                self.position = int(told.removeprefix(TOLD))

        connection.add_log_listener(heard)
        try:
            await connection.execute(append_script(self, self._editors, facts))
        finally:
            if not connection.is_closed():
                connection.remove_log_listener(heard)
        for fact in facts:
            EVENTS_APPENDED.labels(fact.event.TOPIC).inc()

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
        """Before a read inside the transaction: let it see what was staged."""
        pieces = row_pieces(self.tenant, self._staged.values()) if self._staged else []
        if pieces:
            connection = await self.connection()
            for statement, arguments in pieces:
                await connection.execute(statement, *arguments)
            for rows in self._staged.values():
                rows.before = dict(rows.now)


def lost_race(error: asyncpg.PostgresError) -> bool:
    """Did somebody else write the same stream or row at the same moment?"""
    if isinstance(error, asyncpg.UniqueViolationError):
        return error.constraint_name in {"event_pkey", "stream_key_pkey", "snapshot_pkey", "contact_alias_pkey", "tenant_slug_key"}
    return isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError)


async def perform(uow: UnitOfWork, command: Callable[[], Awaitable[T]]) -> T:
    """Run a command and commit, again from its start when it lost a race; raises StreamConflict after five attempts."""
    for attempt in range(ATTEMPTS):
        try:
            uow.attempt = attempt
            result = await command()
            await uow.commit()
        except asyncpg.PostgresError as error:
            await uow.rollback()
            if not lost_race(error):
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
