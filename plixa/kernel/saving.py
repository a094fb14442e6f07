"""What a unit of work leaves behind: the pieces of one statement (rows, counters, snapshots), and the append to the log that ends it."""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
from prometheus_client import Counter

from plixa.kernel.editor import Circumstances, Editor
from plixa.kernel.event_store import SNAPSHOT_EVERY, Recorded, Written, canonical
from plixa.kernel.metrics import EVENTS_APPENDED
from plixa.kernel.projection import Projection, Rows
from plixa.kernel.tenancy import SCOPE, scoped

Piece = tuple[str, tuple[Any, ...]]
"""A writing statement, or one that waits, with its arguments, the tenant first."""

NEW_STREAM = """INSERT INTO stream_key (tenant_id, stream_id, contact_id, wrapped_key)
SELECT $1, b.* FROM unnest($2::uuid[], $3::bigint[], $4::bytea[]) AS b"""
SNAPSHOT = """INSERT INTO snapshot (tenant_id, stream_id, version, topic, payload)
SELECT $1, b.* FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bytea[]) AS b"""
COUNTERS = """INSERT INTO counter (tenant_id, projection, key, value)
SELECT $1, $2, key, value FROM unnest($3::text[], $4::bigint[]) AS b(key, value)
ON CONFLICT (tenant_id, projection, key) DO UPDATE SET value = counter.value + excluded.value"""
ERASE = (
    "DELETE FROM snapshot WHERE tenant_id = $1 AND stream_id = $2",
    "DELETE FROM stream_key WHERE tenant_id = $1 AND stream_id = $2",
)
TURN = "SELECT FROM (SELECT $1::bigint, pg_advisory_xact_lock($2::bigint)) AS turn"
"""Waits for the turn of a lock."""
HEAR = "SET LOCAL client_min_messages = notice"
TOLD = "plixa position "
"""What ``append_events`` says, before the position it reached."""
APPEND = """append_events($1::bigint + saved.rows * 0, $2::uuid[], $3::bigint[], $4::int[], $5::text[], $6::bytea[], $7::bytea[],
    $8::timestamptz[], $9::text[]::jsonb[], $10::text[])"""
"""Its tenant waits for what the pieces answer: what nobody asks for the planner does at the very end."""
NOTHING = "saved.rows * 0"


def row_pieces(tenant: int, staged: Iterable[Rows[Any]]) -> list[Piece]:
    """Changed rows, deleted rows and counters of every read model."""
    pieces: list[Piece] = []
    for rows in staged:
        table = rows.projection.table
        changes, gone, counts = rows.changes(), rows.gone(), rows.counts()
        if changes:
            pieces += saving(tenant, rows.projection, changes)
        if gone:
            pieces.append((table.delete(), (tenant, gone)))
        if counts:
            pieces.append((COUNTERS, (tenant, table.name, list(counts), list(counts.values()))))
    return pieces


def saving(tenant: int, projection: Projection[Any], changes: list[tuple[Any, Any]]) -> list[Piece]:
    """Changed rows. Of one that is there only what is different is written: what a statement names costs, whether or not it changes."""
    table = projection.table
    if len(changes) > 1:
        return [table.saving(tenant, [row for _, row in changes])]
    ((before, row),) = changes
    if before is not None:
        piece = table.changing(tenant, before, row)
        return [piece] if piece is not None else []
    return [table.saving(tenant, [row]) if projection.renewing else (table.add_one, (tenant, *table.record(row)))]


async def load_rows(
    connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any], facts: list[Recorded], *, alone: bool = False
) -> None:
    """Hold the rows that ``facts`` change and that are not held yet; ``alone`` is outside a transaction."""
    keys = rows.missing(facts)
    if not keys:
        return
    table = rows.projection.table
    for key in keys:
        rows.hold(key, None)
    for found in await connection.fetch(scoped(table.select("scope.tenant")) if alone else table.select(), tenant, keys):
        row = table.restore(found)
        rows.hold(table.key_of(row), row)


async def save_group_changes(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any]) -> None:
    """Drop and move, in their order, the groups as the table has them; before anything else is read from it or saved."""
    table = rows.projection.table
    for source, target in rows.group_changes:
        if target is None:
            await drop_group(connection, tenant, rows, source)
        else:
            await connection.execute(table.move_group(), tenant, source, target)
    rows.group_changes.clear()


async def drop_group(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any], group: int) -> None:
    """Delete a group from the table; where rows are counted, those that are not held come back to be counted off."""
    table = rows.projection.table
    if rows.projection.counts is None:
        await connection.execute(table.drop_group(), tenant, group)
        return
    for found in await connection.fetch(f"{table.drop_group()} RETURNING {', '.join(table.names)}", tenant, group):
        rows.lose(table.restore(found))


def snapshots(editors: Iterable[Editor[Any]], erased: Collection[UUID]) -> Iterator[tuple[Any, ...]]:
    """A row for ``SNAPSHOT`` of every stream that has grown past another ``SNAPSHOT_EVERY`` events."""
    for editor in editors:
        started = editor.version - len(editor.facts)
        if editor.state.folds and editor.stream not in erased and editor.version // SNAPSHOT_EVERY > started // SNAPSHOT_EVERY:
            yield editor.stream, editor.version, editor.state.snapshot_topic(), editor.mapper.seal_state(editor.state)


def gathered(statement: str, tenant: int, rows: Iterable[tuple[Any, ...]]) -> list[Piece]:
    """The piece of a statement that takes an array a column, from ``$2`` on; none where there are no rows."""
    columns = [list(values) for values in zip(*rows, strict=True)]
    return [(statement, (tenant, *columns))] if columns else []


def entries(about: Circumstances, editors: dict[UUID, Editor[Any]], facts: list[Recorded]) -> tuple[Any, ...]:
    """The arguments of ``append_events``."""
    actors = {id(fact.actor): canonical(fact.actor) for fact in facts}
    stored = [editors[fact.stream_id].mapper.seal(fact.stream_id, fact.version, fact.event) for fact in facts]
    written = [
        Written(about.tenant, fact.number, one, fact.at, actors[id(fact.actor)], fact.request_id)
        for fact, one in zip(facts, stored, strict=True)
    ]
    return (
        about.tenant,
        [fact.stream_id for fact in facts],
        [fact.number for fact in facts],
        [fact.version for fact in facts],
        [one.topic for one in stored],
        [one.state for one in stored],
        [one.digest() for one in written],
        [fact.at for fact in facts],
        [one.actor.decode() for one in written],
        [fact.request_id for fact in facts],
    )


async def save_at_once(connection: "asyncpg.Connection[Any]", tenant: int, pieces: list[Piece], appended: tuple[Any, ...] | None) -> int:
    """A transaction of one statement: do the pieces in their order, append last; answers the position reached, or 0."""
    head, first = (APPEND, appended) if appended is not None else (NOTHING, (tenant,))
    statement, arguments = woven(head, first, pieces)
    position: int = await connection.fetchval(statement, *arguments)
    return position


async def append_and_commit(connection: "asyncpg.Connection[Any]", appended: tuple[Any, ...]) -> int:
    """End a transaction in one round trip, for which alone the log's row is held; answers the position reached.

    It comes back as a notice: a script answers nothing else.
    """
    position = 0

    def heard(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
        nonlocal position
        told = str(getattr(message, "message", ""))
        if told.startswith(TOLD):
            position = int(told.removeprefix(TOLD))

    connection.add_log_listener(heard)
    try:
        await connection.execute(f"{HEAR}; {append_script(*appended)}; COMMIT")
    finally:
        if not connection.is_closed():
            connection.remove_log_listener(heard)
    return position


def append_script(tenant: int, streams: list[UUID], *appended: Any) -> str:
    """Append, without parameters: every value is a number, a UUID, hexadecimal, or a topic of ours."""
    numbers, versions, topics, payloads, digests, moments, actors, requests = appended
    arrays = (
        listed("uuid", (f"'{stream}'" for stream in streams)),
        listed("bigint", (f"{number:d}" for number in numbers)),
        listed("int", (f"{version:d}" for version in versions)),
        listed("text", (f"'{topic}'" for topic in topics)),
        listed("bytea", map(octets, payloads)),
        listed("bytea", map(octets, digests)),
        listed("timestamptz", (f"'{at.isoformat()}'" for at in moments)),
        listed("jsonb", (f"{spelled(actor.encode())}::jsonb" for actor in actors)),
        listed("text", (spelled(request.encode()) for request in requests)),
    )
    return f"SELECT append_events({tenant:d}, {', '.join(arrays)})"


def listed(kind: str, literals: Iterable[str]) -> str:
    """An SQL array."""
    return f"ARRAY[{','.join(literals)}]::{kind}[]"


def octets(value: bytes) -> str:
    """An SQL bytea literal."""
    return f"'\\x{value.hex()}'"


def spelled(text: bytes) -> str:
    """An SQL expression for any text."""
    return f"convert_from({octets(text)}, 'UTF8')"


def joined(pieces: list[Piece]) -> tuple[str, list[Any]]:
    """One statement, inside a transaction, that does all pieces in their order."""
    return woven("", (), pieces)


def woven(head: str, first: tuple[Any, ...], pieces: list[Piece]) -> tuple[str, list[Any]]:
    """A statement with its arguments: ``first`` are those of ``head``, which is answered once all pieces are done."""
    arguments = list(first)
    for _, values in pieces:
        arguments.extend(values)
    return weave(head, len(first), tuple([(statement, len(values)) for statement, values in pieces])), arguments


@lru_cache(maxsize=512)
def weave(head: str, taken: int, shapes: tuple[tuple[str, int], ...]) -> str:
    """The text of a statement, by the shapes of its pieces: their texts, and how many arguments each takes.

    What stands in WITH happens in no order of its own. So that rows are locked in the order of the pieces, the tenant is named before
    all of them and the log is appended to after them, each waits for what the one before it answers.
    """
    parts = []
    for index, (statement, count) in enumerate(shapes):
        told = "" if statement is TURN else " RETURNING 1"
        parts.append(f"piece{index} AS ({shifted(statement, taken)}{told})")
        taken += count
    begun = f"WITH {', '.join(parts)} " if parts else ""
    every = " UNION ALL ".join(f"SELECT 1 FROM piece{index}" for index in range(len(parts))) or "SELECT 1"  # noqa: S608
    if not head:
        return f"{begun}SELECT count(*) FROM ({every}) AS done"  # noqa: S608
    saved = f"(SELECT count(*) AS rows FROM ({every}) AS done WHERE scope.tenant IS NOT NULL) AS saved"  # noqa: S608
    return f"{begun}SELECT {head} FROM {SCOPE} CROSS JOIN LATERAL {saved}"  # noqa: S608


def shifted(statement: str, by: int) -> str:
    """The statement with its parameters renumbered."""
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", statement) if by else statement


@lru_cache(maxsize=1024)
def appended_of(topic: str) -> Counter:
    """Counts the events of one topic."""
    return EVENTS_APPENDED.labels(topic)


def lost_race(error: asyncpg.PostgresError) -> bool:
    """Did somebody else write the same stream or row, or delete what it belongs to, at the same moment?"""
    if isinstance(error, asyncpg.UniqueViolationError):
        return error.constraint_name in {"event_pkey", "stream_key_pkey", "snapshot_pkey", "contact_alias_pkey", "tenant_slug_key"}
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return error.constraint_name in {"resource_time_tenant_id_resource_id_fkey", "hold_tenant_id_service_id_fkey"}
    return isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError | asyncpg.ExclusionViolationError)
