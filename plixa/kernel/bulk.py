"""Saving many rows of a read model at once: by COPY, as arrays of everything take several times as long to encode."""

from typing import Any, Final

import asyncpg

from plixa.kernel.projection import Rows
from plixa.kernel.saving import COUNTERS, Piece
from plixa.kernel.table import Table

CHANGED: Final = "__changed"
ADDED: Final = "__added"
"""Endings of temporary tables' names."""
MANY: Final = 50
"""Fewer rows travel faster in one statement."""


async def save_rows(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any]) -> None:
    """In a transaction: changed rows, deleted rows and counters of one read model."""
    await execute(connection, await send_rows(connection, tenant, rows))


async def save_all(connection: "asyncpg.Connection[Any]", tenant: int, table: Table[Any], rows: list[Any]) -> None:
    """In a transaction: insert rows, or put them in the place of those there are."""
    await execute(connection, await _send(connection, tenant, table, rows))


async def send_rows(connection: "asyncpg.Connection[Any]", tenant: int, rows: Rows[Any]) -> list[Piece]:
    """Get changed rows there; answers what is left to be executed: PostgreSQL's work, during which we may do ours."""
    projection, changes = rows.projection, rows.changes()
    is_new = [before is None and not projection.renewing for before, _ in changes]
    changed = [row for (_, row), new in zip(changes, is_new, strict=True) if not new]
    added = [row for (_, row), new in zip(changes, is_new, strict=True) if new]
    pieces = await _send(connection, tenant, projection.table, changed)
    pieces += await _send(connection, tenant, projection.table, added, are_new=True)
    if gone := rows.gone():
        pieces.append((projection.table.delete(), (tenant, gone)))
    if counts := rows.counts():
        pieces.append((COUNTERS, (tenant, projection.table.name, list(counts), list(counts.values()))))
    return pieces


async def execute(connection: "asyncpg.Connection[Any]", pieces: list[Piece]) -> None:
    """Do the pieces in their order."""
    for statement, arguments in pieces:
        await connection.execute(statement, *arguments)


async def _send(
    connection: "asyncpg.Connection[Any]", tenant: int, table: Table[Any], rows: list[Any], *, are_new: bool = False
) -> list[Piece]:
    """Many rows come through a temporary table: COPY neither replaces rows nor writes where row-level security is."""
    if not rows:
        return []
    if len(rows) < MANY:
        return [table.saving(tenant, rows)]
    batch = f"{table.name}{ADDED if are_new else CHANGED}"
    await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {batch} ON COMMIT DROP AS {table.none()}")
    await connection.copy_records_to_table(batch, records=map(table.record, rows), columns=table.names)
    return [(table.add_from(batch) if are_new else table.take_in(batch), (tenant,)), (f"TRUNCATE {batch}", ())]
