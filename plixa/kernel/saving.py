"""What a unit of work leaves behind: the pieces of one statement (rows, counters, snapshots), and the script that appends and commits."""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from plixa.kernel.editor import Circumstances, Editor
from plixa.kernel.event_store import SNAPSHOT_EVERY, EventMapper, Recorded, Written, canonical
from plixa.kernel.projection import Rows

Piece = tuple[str, tuple[Any, ...]]
"""A writing statement with its arguments, the tenant first."""

NEW_STREAM = "INSERT INTO stream_key (tenant_id, stream_id, contact_id, wrapped_key) VALUES ($1, $2, $3, $4)"
SNAPSHOT = "INSERT INTO snapshot (tenant_id, stream_id, version, topic, payload) VALUES ($1, $2, $3, $4, $5)"
COUNTERS = """INSERT INTO counter (tenant_id, projection, key, value)
SELECT $1, $2, key, value FROM unnest($3::text[], $4::bigint[]) AS b(key, value)
ON CONFLICT (tenant_id, projection, key) DO UPDATE SET value = counter.value + excluded.value"""
TOLD = "plixa position "
"""What ``append_events`` says, before the position it reached."""


def row_pieces(tenant: int, staged: Iterable[Rows[Any]]) -> list[Piece]:
    """Changed rows, deleted rows and counters of every read model."""
    pieces: list[Piece] = []
    for rows in staged:
        table = rows.projection.table
        changed, gone, counts = rows.changed(), rows.gone(), rows.counts()
        if changed:
            pieces.append(table.saving(tenant, changed))
        if gone:
            pieces.append((table.delete(), (tenant, gone)))
        if counts:
            pieces.append((COUNTERS, (tenant, table.name, list(counts), list(counts.values()))))
    return pieces


async def load_rows(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any], facts: list[Recorded]) -> None:
    """Hold the rows that ``facts`` change and that are not held yet."""
    keys = rows.missing(facts)
    table = rows.projection.table
    for key in keys:
        rows.hold(key, None)
    for found in await connection.fetch(table.select(), tenant, keys) if keys else ():
        row = table.restore(found)
        rows.hold(table.key_of(row), row)


async def save_group_changes(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any]) -> None:
    """Drop and move, in their order, the groups as the table has them; before anything else is read from it or saved."""
    table = rows.projection.table
    for source, target in rows.group_changes:
        if target is None:
            await connection.execute(table.drop_group(), tenant, source)
        else:
            await connection.execute(table.move_group(), tenant, source, target)
    rows.group_changes.clear()


def snapshot_pieces(tenant: int, editors: Iterable[Editor[Any]], erased: Collection[UUID]) -> list[Piece]:
    """A snapshot of every stream that has grown past another hundred events."""
    pieces: list[Piece] = []
    for editor in editors:
        started = editor.version - len(editor.facts)
        if editor.state.folds and editor.stream not in erased and editor.version // SNAPSHOT_EVERY > started // SNAPSHOT_EVERY:
            payload = EventMapper(editor.key).seal_state(editor.state)
            pieces.append((SNAPSHOT, (tenant, editor.stream, editor.version, editor.state.snapshot_topic(), payload)))
    return pieces


def append_script(about: Circumstances, editors: dict[UUID, Editor[Any]], facts: list[Recorded]) -> str:
    """Append to the log and commit, in one round trip without parameters, so that the log's row is held for no longer than that.

    Every value is a number, a UUID, hexadecimal, or a topic of ours.
    """
    actor, at = canonical(about.actor), facts[0].at
    mappers = {stream: EventMapper(editor.key) for stream, editor in editors.items()}
    stored = [mappers[fact.stream_id].seal(fact.stream_id, fact.version, fact.event) for fact in facts]
    written = [Written(about.tenant, fact.number, one, at, actor, about.request_id) for fact, one in zip(facts, stored, strict=True)]
    arrays = (
        listed("uuid", (f"'{one.originator_id}'" for one in stored)),
        listed("bigint", (f"{fact.number:d}" for fact in facts)),
        listed("int", (f"{one.originator_version:d}" for one in stored)),
        listed("text", (f"'{one.topic}'" for one in stored)),
        listed("bytea", (octets(one.state) for one in stored)),
        listed("bytea", (octets(one.digest()) for one in written)),
    )
    who, request = f"{spelled(actor)}::jsonb", spelled(about.request_id.encode())
    return f"SELECT append_events({about.tenant:d}, {', '.join(arrays)}, '{at.isoformat()}', {who}, {request}); COMMIT"


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
    """One statement that does all pieces."""
    arguments: list[Any] = []
    parts = []
    for index, (statement, values) in enumerate(pieces):
        parts.append(f"piece{index} AS ({shifted(statement, len(arguments))})")
        arguments.extend(values)
    return f"WITH {', '.join(parts)} SELECT", arguments


@lru_cache(maxsize=1024)
def shifted(statement: str, by: int) -> str:
    """The statement with its parameters renumbered."""
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", statement) if by else statement
