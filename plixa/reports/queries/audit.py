"""Reading the audit trail: a workspace's own, and what staff did anywhere."""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.database import Database
from plixa.kernel.envelope import Page
from plixa.kernel.event_store import stream_id
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.events import STAFF_ONLY
from projections.audit import AuditRow, audit

COLUMNS: Final = ", ".join(f"a.{name}" for name in audit.table.names)
PROOF: Final = """, (SELECT e.hash FROM event e WHERE e.tenant_id = a.tenant_id AND e.position = a.id) AS hash,
(SELECT e.hash FROM event e WHERE e.tenant_id = a.tenant_id AND e.position = a.id - 1) AS previous, a.tenant_id"""
STREAMS: Final = {"conversation": "/v1/conversations/{}/events"}
"""Kinds of subjects that have a stream of their own, and where it is read."""
OWNED: Final = frozenset({*STREAMS, "phone_instance", "ticket"})
TOLD: Final = f"a.action NOT IN ({', '.join(repr(event.TOPIC) for event in STAFF_ONLY)})"
"""Not deeds of staff that are no business of the workspace's, though its log keeps them. In plain sight of the planner."""
REFUSALS: Final = ("_failed", "_denied", "_refused")
"""How the action of an entry ends that tells of something that was not done."""


class PersonView(Struct, frozen=True):
    """``type`` is ``member``, ``token``, ``staff``, ``system`` …"""

    type: str
    id: int | None
    name: str | None


class SubjectView(Struct, frozen=True):
    """What it was done to."""

    type: str
    id: int


class StreamView(Struct, frozen=True):
    """The stream that was changed, and where its events are read."""

    id: str
    href: str | None


class ProofView(Struct, frozen=True):
    """The entry's link in the chain of the tenant's log: SHA-256 in hexadecimal, as ``plixa verify`` computes it."""

    position: int
    hash: str
    previous_hash: str | None


class AuditEntryView(Struct, frozen=True, kw_only=True):
    """One deed: who, on whose behalf, to what, with what difference, from where. ``result`` is ``done`` or ``refused``."""

    id: int
    at: datetime
    tenant_id: int
    actor: PersonView
    on_behalf_of: PersonView | None
    action: str
    result: str
    subject: SubjectView
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ip: str | None
    user_agent: str | None
    request_id: str
    stream: StreamView | None
    proof: ProofView


class AuditFilters(Struct, frozen=True):
    """Which entries. ``user_id`` finds what a member did, and what staff did on their behalf."""

    user_id: int | None = None
    actor_type: str | None = None
    action: str | None = None
    subject: str | None = None
    subject_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class StaffFilters(Struct, frozen=True):
    """Which deeds of staff, and in which workspace."""

    admin_id: int | None = None
    tenant_id: int | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_entries(uow: UnitOfWork, filters: AuditFilters, paging: Paging) -> tuple[list[AuditEntryView], Page]:
    """A workspace's trail, newest first."""
    found = Conditions("a.tenant_id = scope.tenant")
    found.add(TOLD)
    if filters.user_id is not None:
        user = found.bind(filters.user_id)
        found.add(f"((a.actor_type = 'member' AND a.actor_id = {user}::bigint) OR a.behalf_id = {user}::bigint)")
    equal = {"a.actor_type": filters.actor_type, "a.action": filters.action, "a.subject": filters.subject}
    found.equal(equal | {"a.subject_id": filters.subject_id})
    found.between("a.at", filters.since, filters.until)
    if paging.cursor is not None:
        at, number = decode(paging.cursor, (datetime, int))
        found.add(f"(a.at, a.id) < ({found.bind(at)}::timestamptz, {found.bind(number)}::bigint)")
    limit = found.bind(paging.limit + 1)
    query = f"SELECT {COLUMNS}{PROOF} FROM audit_entry a WHERE {found} ORDER BY a.at DESC, a.id DESC LIMIT {limit}::int"  # noqa: S608
    shown = [entry_view(row) for row in await uow.fetch(query, *found.arguments)]
    more = shown[paging.limit - 1] if len(shown) > paging.limit else None
    return shown[: paging.limit], Page(encode((more.at, more.id)) if more else None, paging.limit)


async def list_staff_entries(system: Database, filters: StaffFilters, paging: Paging) -> tuple[list[AuditEntryView], Page]:
    """What staff did, in every workspace, and what concerns the platform, newest first."""
    found = Conditions("a.is_staff", first=1)
    if filters.admin_id is not None:
        found.add(f"a.actor_type = 'staff' AND a.actor_id = {found.bind(filters.admin_id)}::bigint")
    found.equal({"a.tenant_id": filters.tenant_id, "a.action": filters.action})
    found.between("a.at", filters.since, filters.until)
    if paging.cursor is not None:
        place = decode(paging.cursor, (datetime, int, int))
        at, tenant, number = (found.bind(value) for value in place)
        found.add(f"(a.at, a.tenant_id, a.id) < ({at}::timestamptz, {tenant}::bigint, {number}::bigint)")
    limit = found.bind(paging.limit + 1)
    order = "ORDER BY a.at DESC, a.tenant_id DESC, a.id DESC"
    query = f"SELECT {COLUMNS}{PROOF} FROM audit_entry a WHERE {found} {order} LIMIT {limit}::int"  # noqa: S608
    async with system.connection() as connection:
        shown = [entry_view(row) for row in await connection.fetch(query, *found.arguments)]
    more = shown[paging.limit - 1] if len(shown) > paging.limit else None
    return shown[: paging.limit], Page(encode((more.at, more.tenant_id, more.id)) if more else None, paging.limit)


class Conditions:
    """What a list is narrowed by, in words that are all ours; values are bound from ``$first`` on."""

    def __init__(self, always: str, first: int = 2) -> None:
        self.arguments: list[Any] = []
        self._parts, self._first = [always], first

    def __str__(self) -> str:
        return " AND ".join(self._parts)

    def bind(self, value: Any) -> str:
        """The placeholder of one more value."""
        self.arguments.append(value)
        return f"${self._first + len(self.arguments) - 1}"

    def add(self, condition: str) -> None:
        """One more."""
        self._parts.append(condition)

    def equal(self, wanted: dict[str, Any]) -> None:
        """Columns that must have a value, where one is wanted."""
        for column, value in wanted.items():
            if value is not None:
                self.add(f"{column} = {self.bind(value)}::{'bigint' if isinstance(value, int) else 'text'}")

    def between(self, column: str, since: datetime | None, until: datetime | None) -> None:
        """From a time on, and before another."""
        if since is not None:
            self.add(f"{column} >= {self.bind(since)}::timestamptz")
        if until is not None:
            self.add(f"{column} < {self.bind(until)}::timestamptz")


def entry_view(record: Any) -> AuditEntryView:
    """A row with its proof as the API shows it."""
    *values, link, previous, tenant = record
    row: AuditRow = audit.table.restore(values)
    return AuditEntryView(
        id=row.id,
        at=row.at,
        tenant_id=tenant,
        actor=PersonView(row.actor_type, row.actor_id, row.actor_name),
        on_behalf_of=PersonView("member", row.behalf_id, row.behalf_name) if row.behalf_id is not None else None,
        action=row.action,
        result="refused" if row.action.endswith(REFUSALS) else "done",
        subject=SubjectView(row.subject, row.subject_id),
        before=row.before,
        after=row.after,
        ip=row.address,
        user_agent=row.agent,
        request_id=row.request_id,
        stream=stream_view(row.subject, row.subject_id),
        proof=ProofView(row.id, link.hex(), previous.hex() if previous else None),
    )


def stream_view(subject: str, number: int) -> StreamView | None:
    """The stream behind a subject that has one."""
    if subject not in OWNED:
        return None
    href = STREAMS.get(subject)
    return StreamView(str(stream_id(subject, number)), href.format(number) if href else None)


HEADER: Final = [
    *("id", "at", "tenant_id", "actor_type", "actor_id", "actor_name", "on_behalf_of_id", "on_behalf_of_name", "action", "result"),
    *("subject", "subject_id", "before", "after", "ip", "user_agent", "request_id", "hash"),
]
"""The columns of the trail as a file."""


def cells(entry: AuditEntryView) -> list[Any]:
    """One row of that file."""
    behalf = (entry.on_behalf_of.id, entry.on_behalf_of.name) if entry.on_behalf_of else (None, None)
    who = (entry.actor.type, entry.actor.id, entry.actor.name, *behalf)
    difference = (msgspec.json.encode(part).decode() if part is not None else None for part in (entry.before, entry.after))
    place = (entry.ip, entry.user_agent, entry.request_id, entry.proof.hash)
    deed = (entry.action, entry.result, entry.subject.type, entry.subject.id)
    return [entry.id, entry.at.isoformat(), entry.tenant_id, *who, *deed, *difference, *place]
