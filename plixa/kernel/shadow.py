"""A read model being built beside the one in use: a second table like it, filled by COPY, and later given the first one's name.

Rows are folded in memory and written when there are many; what comes back to a written row is loaded, changed and saved again.
"""

from collections import Counter, defaultdict
from copy import copy
from typing import Any, Final

import asyncpg

from plixa.kernel.bulk import save_all
from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection, Rows
from plixa.kernel.saving import drop_group, load_rows

BUILDING: Final = "__rebuild"
REPLACED: Final = "__replaced"
"""Endings of names: of what is not in use yet, and of what no longer is."""
LEFTOVERS: Final = """SELECT relname AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
AND (relname LIKE '%\\_\\_rebuild' OR relname LIKE '%\\_\\_replaced')"""
OPTIONS: Final = "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = $1::text::regclass"
INDEXES: Final = """SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition,
    coalesce(k.contype = 'p', false) AS is_key, pg_get_constraintdef(k.oid) AS constraint_definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = $1::text::regclass ORDER BY c.relname"""


class Index:
    """One index of the table in use: its name, what it is, and whether it is the table's key."""

    def __init__(self, name: str, definition: str, constraint: str | None, *, is_key: bool) -> None:
        self.name, self.definition, self.constraint, self.is_key = name, definition, constraint, is_key

    def create(self, table: str) -> str:
        """The statement that makes its like for the table being built."""
        if self.constraint is not None:
            return f"ALTER TABLE {table} ADD CONSTRAINT {self.name}{BUILDING} {self.constraint}"
        head, _, body = self.definition.partition(" USING ")
        unique = "UNIQUE " if head.startswith("CREATE UNIQUE") else ""
        return f"CREATE {unique}INDEX {self.name}{BUILDING} ON {table} USING {body}"


class Shadow:
    """One projection's table being built. One tenant at a time is folded into it."""

    def __init__(self, projection: Projection[Any], connection: "asyncpg.Connection[Any]") -> None:
        self.live = projection.table
        self.table = projection.table.named(f"{self.live.name}{BUILDING}")
        self._projection = copy(projection)
        self._projection.table = self.table
        self._connection = connection
        self._groups: dict[int, set[int]] = defaultdict(set)
        self._indexed = self.live.group is None
        self._indexes: list[Index] = []
        self.tenant = 0
        self.rows = Rows(self._projection)
        self.written: set[int] = set()
        self.counts: dict[int, Counter[str]] = defaultdict(Counter)

    async def create(self) -> None:
        """The empty table with its key; everything else comes when the rows are there."""
        options = await self._connection.fetchval(OPTIONS, self.live.name)
        clause = f" WITH ({options})" if options else ""
        await self._connection.execute(f"CREATE TABLE {self.table.name} (LIKE {self.live.name} INCLUDING ALL EXCLUDING INDEXES){clause}")
        for row in await self._connection.fetch(INDEXES, self.live.name):
            self._indexes.append(Index(row["name"], row["definition"], row["constraint_definition"], is_key=row["is_key"]))
        for index in self._indexes:
            if index.is_key:
                await self._connection.execute(index.create(self.table.name))

    async def fold(self, tenant: int, facts: list[Recorded]) -> None:
        """Events of one tenant, in order; those of another only after ``flush``."""
        self.tenant = tenant
        rows = self.rows
        if tenant in self.written:
            await load_rows(self._connection, tenant, rows, facts)
        rows.fold_all(facts)
        for source, target in rows.group_changes:
            await self._regroup(source, target)
        rows.group_changes.clear()

    async def flush(self) -> None:
        """Write everything held: new rows by COPY."""
        rows, table, tenant = self.rows, self.table, self.tenant
        new = [row for key, row in rows.now.items() if row is not None and rows.before[key] is None]
        old = [row for key, row in rows.now.items() if rows.before[key] is not None and row is not None and row is not rows.before[key]]
        gone = rows.gone()
        if new:
            records = ((tenant, *table.record(row)) for row in new)
            await self._connection.copy_records_to_table(table.name, records=records, columns=["tenant_id", *table.names])
            self.written.add(tenant)
        if old:
            async with self._connection.transaction():
                await save_all(self._connection, tenant, table, old)
        if gone:
            await self._connection.execute(table.delete(), tenant, gone)
        self.counts[tenant].update(rows.counts())
        if table.group is not None:
            self._groups[tenant].update(getattr(row, table.group) for row in new)
        self.rows = Rows(self._projection)

    async def index(self, connection: "asyncpg.Connection[Any]") -> None:
        """Everything that makes the table as good as the one in use, but for its name and who may see it."""
        name = self.table.name
        await connection.execute(f"DROP INDEX IF EXISTS {name}_group")
        self._indexed = True
        for index in self._indexes:
            if not index.is_key:
                await connection.execute(index.create(name))
        await connection.execute(f"ANALYZE {name}")

    async def mend(self, connection: "asyncpg.Connection[Any]", tenant: int) -> bool:
        """Make the tenant's rows in use those of the shadow; were any others?"""
        live, name, key = self.live.name, self.table.name, self.live.key
        deleted = await connection.execute(
            f"DELETE FROM {live} l WHERE tenant_id = $1 AND NOT EXISTS "  # noqa: S608
            f"(SELECT FROM {name} s WHERE s.tenant_id = l.tenant_id AND s.{key} = l.{key} AND s *= l)",
            tenant,
        )
        inserted = await connection.execute(
            f"INSERT INTO {live} SELECT * FROM {name} s WHERE tenant_id = $1 AND NOT EXISTS "  # noqa: S608
            f"(SELECT FROM {live} l WHERE l.tenant_id = s.tenant_id AND l.{key} = s.{key})",
            tenant,
        )
        return (deleted, inserted) != ("DELETE 0", "INSERT 0 0")

    async def take_over(self) -> None:
        """Inside the transaction that holds the lock of the table in use: change places with it."""
        live, name = self.live.name, self.table.name
        await self._connection.execute("SELECT protect($1::text::regclass)", name)
        steps = [f"ALTER TABLE {live} RENAME TO {live}{REPLACED}"]
        steps += [f"ALTER INDEX {index.name} RENAME TO {index.name}{REPLACED}" for index in self._indexes]
        steps += [f"ALTER TABLE {name} RENAME TO {live}"]
        steps += [f"ALTER INDEX {index.name}{BUILDING} RENAME TO {index.name}" for index in self._indexes]
        await self._connection.execute("; ".join(steps))

    async def _regroup(self, source: int, target: int | None) -> None:
        """Move or drop what is written of a group; most groups that go have nothing left in the log to be written."""
        groups = self._groups[self.tenant]
        if source not in groups:
            return
        if not self._indexed:
            await self._connection.execute(f"CREATE INDEX {self.table.name}_group ON {self.table.name} (tenant_id, {self.live.group})")
            self._indexed = True
        groups.discard(source)
        if target is None:
            await drop_group(self._connection, self.tenant, self.rows, source)
        else:
            groups.add(target)
            await self._connection.execute(self.table.move_group(), self.tenant, source, target)


async def drop_leftovers(connection: "asyncpg.Connection[Any]") -> None:
    """What a rebuild that was killed has left."""
    for row in await connection.fetch(LEFTOVERS):
        await connection.execute(f"DROP TABLE {row['name']}")
