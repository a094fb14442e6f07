"""Lists of contacts that were brought in: how far each is, and what became of every row."""

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Actor
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

ONE: Final = """SELECT id, state, total, processed, created, updated, skipped, errors, created_at, finished_at FROM contact_import
WHERE tenant_id = scope.tenant AND id = $2"""
ROWS: Final = """SELECT line, outcome, message FROM contact_import_row
WHERE tenant_id = scope.tenant AND import_id = $2 AND line > $3 AND ($4::text IS NULL OR outcome = $4) ORDER BY line LIMIT $5::int"""
HELD: Final = """SELECT file, country, by, processed, total, state FROM contact_import
WHERE tenant_id = scope.tenant AND id = $2 FOR UPDATE"""
FILE: Final = "SELECT file, country FROM contact_import WHERE tenant_id = scope.tenant AND id = $2"
KNOWN: Final = """SELECT a.value, c.id, c.phone, c.name, c.notes,
    (SELECT array_agg(x.label_id) FROM contact_label x WHERE x.tenant_id = c.tenant_id AND x.contact_id = c.id) AS labels
FROM contact_alias a JOIN contact c ON c.tenant_id = a.tenant_id AND c.id = a.contact_id
WHERE a.tenant_id = scope.tenant AND a.value = ANY($2::text[])"""
LABELS: Final = "SELECT id, name FROM label WHERE tenant_id = scope.tenant FOR KEY SHARE"
COUNTRY: Final = "SELECT country_code FROM tenant WHERE tenant_id = scope.tenant"

State = Literal["waiting", "running", "done", "failed"]
Outcome = Literal["created", "updated", "skipped", "error"]


class ImportView(Struct, frozen=True):
    """A list that was brought in; ``processed`` of ``total`` rows are done. ``errors`` are rows nobody could be made of."""

    id: int
    state: State
    total: int
    processed: int
    created: int
    updated: int
    skipped: int
    errors: int
    created_at: datetime
    finished_at: datetime | None


class ImportRowView(Struct, frozen=True):
    """What became of one row, by its number in the spreadsheet."""

    line: int
    outcome: Outcome
    message: str | None


class HeldImport(Struct, frozen=True):
    """An import that is under way; nobody else works on it before this transaction ends."""

    file: bytes | None
    country: str
    by: Actor
    processed: int
    total: int
    state: State


class KnownContact(Struct, frozen=True):
    """Somebody a row may mean, by an address."""

    value: str
    id: int
    phone: str | None
    name: str | None
    notes: str | None
    labels: list[int] | None


async def get_import(uow: UnitOfWork, number: int) -> ImportView:
    """One; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such import.")
    return ImportView(*row)


async def list_import_rows(uow: UnitOfWork, number: int, outcome: Outcome | None, paging: Paging) -> tuple[list[ImportRowView], Page]:
    """What became of the rows so far, in their order; raises NotFound."""
    await get_import(uow, number)
    after = decode(paging.cursor, (int,))[0] if paging.cursor else 0
    rows = [ImportRowView(*row) for row in await uow.fetch(ROWS, number, after, outcome, paging.limit + 1)]
    shown = rows[: paging.limit]
    return shown, Page(encode((shown[-1].line,)) if len(rows) > paging.limit else None, paging.limit)


async def hold_import(uow: UnitOfWork, number: int) -> HeldImport | None:
    """One that is to be worked on, or None once it is gone."""
    await uow.begin()
    row = await uow.fetchrow(HELD, number)
    return HeldImport(row["file"], row["country"], msgspec.json.decode(row["by"], type=Actor), *list(row)[3:]) if row else None


async def find_file(uow: UnitOfWork, number: int) -> tuple[bytes, str] | None:
    """The sealed file of an import and whose numbers it holds; None once it is done with."""
    row = await uow.fetchrow(FILE, number)
    return (row["file"], row["country"]) if row is not None and row["file"] is not None else None


async def find_contacts(uow: UnitOfWork, addresses: list[str]) -> dict[str, KnownContact]:
    """Whom addresses lead to, with what may be changed of them; the caller holds the locks of all."""
    return {row["value"]: KnownContact(*row) for row in await uow.fetch(KNOWN, addresses)}


async def hold_labels(uow: UnitOfWork) -> dict[str, int]:
    """The workspace's labels by name, without case; nobody deletes one before this transaction ends."""
    return {row["name"].casefold(): row["id"] for row in await uow.fetch(LABELS)}


async def get_country(uow: UnitOfWork) -> str:
    """Where the workspace is."""
    row = await uow.fetchrow(COUNTRY)
    if row is None:
        raise NotFound
    return str(row["country_code"])
