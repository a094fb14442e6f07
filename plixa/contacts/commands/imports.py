"""Bringing in a list of contacts: kept sealed while it is worked on, batch by batch, each batch one transaction.

How many rows are done is saved with what they did, so that whoever goes on after a crash neither leaves out a row nor does one twice.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from plixa.contacts.commands.opt_out import KEYWORD, opt_out, recall_opt_outs
from plixa.contacts.commands.people import follow
from plixa.contacts.domain.imports import Line, read_rows
from plixa.contacts.domain.people import words_of
from plixa.contacts.queries.identities import address_of
from plixa.contacts.queries.imports import (
    HeldImport,
    ImportRowView,
    ImportView,
    KnownContact,
    find_contacts,
    get_country,
    get_import,
    hold_import,
    hold_labels,
)
from plixa.kernel.audit import record
from plixa.kernel.errors import PayloadTooLarge
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

LARGEST: Final = 5 * 1024 * 1024
"""Bytes of a file."""
BATCH: Final = 200
"""Rows of one transaction."""
IMPORT: Final = "contacts.import"
INSERT: Final = """INSERT INTO contact_import (tenant_id, id, state, file, country, by, total, created_at)
VALUES ($1, $2, 'waiting', $3, $4, $5::text::jsonb, $6, $7)"""
ROWS: Final = """INSERT INTO contact_import_row (tenant_id, import_id, line, outcome, message)
SELECT $1, $2, b.* FROM unnest($3::int[], $4::text[], $5::text[]) AS b"""
PROGRESS: Final = """UPDATE contact_import SET state = 'running', processed = processed + $3, created = created + $4,
    updated = updated + $5, skipped = skipped + $6, errors = errors + $7 WHERE tenant_id = $1 AND id = $2"""
END: Final = "UPDATE contact_import SET state = $3, file = NULL, finished_at = $4 WHERE tenant_id = $1 AND id = $2"
CREATE: Final = """INSERT INTO contact (tenant_id, created_at, id, phone, name, notes, words)
SELECT $1, $2, b.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[]) AS b"""
BIND: Final = "INSERT INTO contact_alias (tenant_id, value, contact_id) SELECT $1, b.* FROM unnest($2::text[], $3::bigint[]) AS b"
FILL: Final = """UPDATE contact c SET name = b.name, notes = b.notes, words = b.words
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[]) AS b(id, phone, name, notes, words)
WHERE c.tenant_id = $1 AND c.id = b.id"""
LABEL: Final = """INSERT INTO contact_label (tenant_id, contact_id, label_id)
SELECT $1, b.* FROM unnest($2::bigint[], $3::bigint[]) AS b ON CONFLICT DO NOTHING"""


class Change(Struct, frozen=True):
    """What a row does: to whom, and what is new of them."""

    row: ImportRowView
    contact: KnownContact | None = None
    labels: tuple[int, ...] = ()
    renamed: bool = False


async def start_import(uow: UnitOfWork, content: bytes) -> ImportView:
    """Take a file in; its rows are worked on behind this. Raises Invalid, PayloadTooLarge."""
    if len(content) > LARGEST:
        raise PayloadTooLarge("A list may be 5 MB at most.")
    total = len(await asyncio.to_thread(read_rows, content))
    number = await uow.number("contact_import_number")
    sealed = uow.kernel.vault.seal(content, place_of(uow.tenant, number))
    by = msgspec.json.encode(uow.actor).decode()
    await uow.execute(INSERT, number, sealed, await get_country(uow), by, total, uow.now)
    uow.enqueue(Effect(IMPORT, str(number), {"import_id": number}))
    await record(uow, "contacts.import_started", ("import", number), after={"rows": total})
    return await get_import(uow, number)


async def import_batch(uow: UnitOfWork, number: int, lines: list[Line]) -> bool:
    """Do the next rows of an import; answers whether it is at its end, which is saved with them."""
    held = await hold_import(uow, number)
    if held is None or held.file is None:
        return True
    batch = lines[held.processed : held.processed + BATCH]
    changes = await decide(uow, batch)
    await save(uow, number, changes)
    if held.processed + len(batch) < held.total:
        return False
    await end_import(uow, number, held, "done")
    return True


async def fail_import(uow: UnitOfWork, number: int) -> None:
    """Give up on an import; what is done of it stays."""
    held = await hold_import(uow, number)
    if held is not None and held.file is not None:
        await end_import(uow, number, held, "failed")


async def end_import(uow: UnitOfWork, number: int, held: HeldImport, state: str) -> None:
    """The file goes; the trail tells whose import it was, and what became of it."""
    await uow.execute(END, number, state, uow.now)
    view = await get_import(uow, number)
    uow.actor = held.by
    counts = {name: getattr(view, name) for name in ("created", "updated", "skipped", "errors")}
    await record(uow, f"contacts.import_{state}", ("import", number), after=counts)


async def decide(uow: UnitOfWork, batch: list[Line]) -> list[Change]:
    """What each row does, with the addresses of all of them locked."""
    addresses = {line.number: address_of(line.phone) for line in batch if line.phone}
    await uow.begin(*(lock_of(f"{uow.tenant}/contact/{address}") for address in addresses.values()))
    known, labels = await find_contacts(uow, list(addresses.values())), await hold_labels(uow)
    people = {one.id: one for one in known.values()}  # several rows may mean one of them, by several addresses
    changes = []
    for line in batch:
        if line.number not in addresses:
            changes.append(Change(refused(line)))
            continue
        contact = known.get(addresses[line.number])
        change = await welcome(uow, line, labels) if contact is None else update(line, people[contact.id], labels)
        if change.contact is not None:
            people[change.contact.id] = change.contact
        changes.append(change)
    return changes


def refused(line: Line) -> ImportRowView:
    """A row nobody is made of."""
    if line.same_as is not None:
        return ImportRowView(line.number, "skipped", f"The same phone stands in row {line.same_as}.")
    return ImportRowView(line.number, "error", line.fault)


async def welcome(uow: UnitOfWork, line: Line, labels: dict[str, int]) -> Change:
    """A row of somebody new."""
    contact = KnownContact(address_of(line.phone), await uow.number("contact_number"), line.phone, line.name, line.notes, None)
    return Change(ImportRowView(line.number, "created", unknown_labels(line, labels)), contact, wanted_labels(line, labels))


def update(line: Line, known: KnownContact, labels: dict[str, int]) -> Change:
    """A row of somebody there is: what the file says of them wins, what it does not say stays."""
    fresh = tuple(label for label in wanted_labels(line, labels) if label not in (known.labels or ()))
    all_labels = [*(known.labels or ()), *fresh] or None
    contact = replace(known, name=line.name or known.name, notes=line.notes or known.notes, labels=all_labels)
    passed_over = unknown_labels(line, labels)
    if contact == known:
        return Change(ImportRowView(line.number, "skipped", passed_over or "Nothing of it is new."))
    return Change(ImportRowView(line.number, "updated", passed_over), contact, fresh, contact.name != known.name)


def wanted_labels(line: Line, labels: dict[str, int]) -> tuple[int, ...]:
    """The labels of a row that there are."""
    return tuple({labels[name]: None for label in line.labels if (name := label.casefold()) in labels})


def unknown_labels(line: Line, labels: dict[str, int]) -> str | None:
    """A word about labels that there are not."""
    missing = sum(label.casefold() not in labels for label in line.labels)
    return f"Labels the workspace does not have were passed over: {missing}." if missing else None


async def save(uow: UnitOfWork, number: int, changes: list[Change]) -> None:
    """Everything a batch does, and that it is done."""
    created = [change.contact for change in changes if change.contact is not None and change.row.outcome == "created"]
    updated = {change.contact.id: change.contact for change in changes if change.contact is not None and change.row.outcome == "updated"}
    await uow.execute(CREATE, uow.now, *columns(facts_of(uow, created), 5))
    await uow.execute(BIND, *columns([(one.value, one.id) for one in created], 2))
    numbers = {one.value: one.id for one in created}
    for address, wish in (await recall_opt_outs(uow, list(numbers))).items():
        await opt_out(uow, numbers[address], wish.reason or KEYWORD)
    await uow.execute(FILL, *columns(facts_of(uow, list(updated.values())), 5))
    marked = [(change.contact.id, label) for change in changes if change.contact is not None for label in change.labels]
    await uow.execute(LABEL, *columns(marked, 2))
    renamed = [change.contact.id for change in changes if change.contact is not None and change.renamed]
    if renamed:
        uow.enqueue(follow(uow, renamed))
    rows = [change.row for change in changes]
    await uow.execute(ROWS, number, *columns([astuple(row) for row in rows], 3))
    counts = Counter(row.outcome for row in rows)
    await uow.execute(PROGRESS, number, len(rows), *(counts[outcome] for outcome in ("created", "updated", "skipped", "error")))


def facts_of(uow: UnitOfWork, people: list[KnownContact]) -> list[tuple[Any, ...]]:
    """Rows of the table of contacts."""
    return [(one.id, one.phone, one.name, one.notes, words_of(uow.tenant, one.name, one.phone, one.notes)) for one in people]


def columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """The same values, a list a column."""
    return [[row[place] for row in rows] for place in range(width)]


def place_of(tenant: int, number: int) -> str:
    """Where the file of an import belongs, as the vault seals it."""
    return f"contact_import/{tenant}/{number}"
