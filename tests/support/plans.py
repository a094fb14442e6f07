"""What the application asks its database, and how the database would go about it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.connection import LoggedQuery
from msgspec import Struct

from plixa.kernel.database import Database

MODES = {"force_custom_plan": "", "force_generic_plan": ", GENERIC_PLAN"}
"""Statements are prepared: sooner or later PostgreSQL keeps a plan that suits any argument."""
READ = """SELECT relname AS name, seq_tup_read AS whole, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_xact_user_tables WHERE seq_tup_read + coalesce(idx_tup_fetch, 0) > 0"""
"""Rows of every table that this connection has read of late, in statements inside functions too."""


class Sent(Struct, frozen=True):
    """A statement with its arguments, and the role that sent it."""

    role: str
    query: str
    arguments: tuple[Any, ...]

    @property
    def reads(self) -> bool:
        """Is it a SELECT?"""
        return self.query.lstrip().upper().startswith(("SELECT", "WITH"))


class Listener:
    """Hears what goes through the connections of the application."""

    def __init__(self) -> None:
        self._heard: list[Sent] = []

    @asynccontextmanager
    async def listening(self, *databases: Database) -> AsyncIterator["Listener"]:
        """On every connection they may have."""
        leases = [(database, await database.lease()) for database in databases for _ in range(database.usage()[1])]
        calls = [(lease, self._note(database.role)) for database, lease in leases]
        for lease, call in calls:
            lease.raw.add_query_logger(call)
        for _, lease in leases:
            lease.release()
        try:
            yield self
        finally:
            for lease, call in calls:
                lease.raw.remove_query_logger(call)

    def _note(self, role: str) -> Any:
        def note(logged: LoggedQuery) -> None:
            self._heard.append(Sent(role, logged.query, tuple(logged.args or ())))

        return note

    async def heard(self) -> list[Sent]:
        """What was read since the last time this was asked."""
        await asyncio.sleep(0)
        heard, self._heard = self._heard, []
        return [one for one in heard if one.reads]


class Judge:
    """Looks for what takes too long, in tables of more rows than ``large``; ``met`` are those that were read."""

    def __init__(self, connections: "dict[str, asyncpg.Connection[Any]]", tables: dict[str, int], large: int) -> None:
        self._connections, self.tables = connections, tables.keys()
        self.large = {name: rows for name, rows in tables.items() if rows > large}
        self.met: set[str] = set()

    async def faults(self, sent: Sent, most: int) -> list[str]:
        """What is wrong with a statement; ``most`` rows it may read."""
        found = ["skips rows with OFFSET"] if re.search(r"\bOFFSET\b(?! 0\))", sent.query, re.IGNORECASE) else []
        connection = self._connections[sent.role]
        for mode, generic in MODES.items():
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
                explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON{generic}) {sent.query}", *sent.arguments)
                before = await reading(connection)
                await connection.fetch(sent.query, *sent.arguments)
                read = await reading(connection) - before
            finally:
                await transaction.rollback()
            found += [f"{mode}: {fault}" for fault in (*self.planned(json.loads(explained)[0]["Plan"]), *self.read(read, most))]
        return found

    def planned(self, plan: dict[str, Any]) -> Iterator[str]:
        """Tables of size that a plan would read from their beginning."""
        table = plan.get("Relation Name", "")
        self.met |= {table}
        if plan["Node Type"] == "Seq Scan" and table in self.large:
            yield f"Seq Scan over {table}, which has {self.large[table]} rows"
        for part in plan.get("Plans", ()):
            yield from self.planned(part)

    def read(self, rows: Counter[tuple[str, str]], most: int) -> Iterator[str]:
        """Tables of size that were read from their beginning, and rows that were read in vain."""
        told = {name: count for (name, how), count in rows.items() if how == "rows"}
        self.met |= told.keys()
        for table in self.large:
            if rows[table, "whole"]:
                yield f"{table} was read from its beginning, {rows[table, 'whole']} rows"
        if sum(told.values()) > most:
            yield "too much was read: " + ", ".join(f"{count} of {name}" for name, count in told.items())


async def reading(connection: "asyncpg.Connection[Any]") -> Counter[tuple[str, str]]:
    """What a connection has read so far."""
    return Counter({(row["name"], how): row[how] for row in await connection.fetch(READ) for how in ("whole", "rows")})


def brief(query: str) -> str:
    """A statement on one line."""
    return re.sub(r"\s+", " ", query).strip()
