"""The audit trail: who did what to whom, in the tenant's own log, so that one chain proves it and the domain's events.

A request that changes something leaves exactly one entry, written with the change. Every entry is a stream of its own, so that no two
writers ever meet, sealed with the one key of the tenant's trail, so that it outlives what it tells of.
"""

import os
import time
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from plixa.kernel.auth import Principal
from plixa.kernel.crypto import new_data_key, place_of_key
from plixa.kernel.editor import Editor
from plixa.kernel.event_store import AUDITED, TRAIL, Aggregate, Event
from plixa.kernel.requests import current_request, current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

PLATFORM: Final = 0
"""The tenant of Plixa itself: its members are the staff, its log tells what concerns no workspace."""
OPEN_LOG: Final = "INSERT INTO log_head (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
"""A tenant's log begins; before its first event."""
KEY: Final = "SELECT wrapped_key FROM stream_key WHERE tenant_id = scope.tenant AND stream_id = $2"
NEW_KEY: Final = """INSERT INTO stream_key (tenant_id, stream_id, wrapped_key) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING wrapped_key"""
MOST_KEYS: Final = 10_000

Subject = tuple[str, int]
"""Kind and id, e.g. ``("member", 7)``."""


class Untold(Exception):
    """An operation changed something and left no entry, or more than one: a fault of ours that no caller may see the effect of."""


class AuditEntry(Event, frozen=True):
    """Something was done, or refused, to a subject. Never holds a secret or the text of a message."""

    TOPIC: ClassVar[str] = AUDITED

    action: str
    subject: str
    subject_id: int
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    address: str | None = None
    agent: str | None = None


class Entry(Aggregate, frozen=True):
    """The stream of one entry."""

    KIND: ClassVar[str] = "trail"


async def record(
    uow: UnitOfWork,
    action: str,
    subject: Subject,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """The entry (``member.signed_in``) of what this unit of work does, saved with it; raises Untold for a second one."""
    if is_told(uow):
        raise Untold(f"{action} is the second entry of one unit of work.")
    request = current_request()
    address, agent = (request.address, request.agent) if request else (None, None)
    entry = Editor(uow, Entry(number=subject[1]), 0, await trail_key(uow))
    entry.stream = new_stream()
    entry.record(AuditEntry(action, *subject, before, after, address, agent))
    uow.enlist(entry)


async def record_change(uow: UnitOfWork, action: str, subject: Subject, before: dict[str, Any], after: dict[str, Any]) -> None:
    """As ``record``, of the fields of ``after`` that are different now."""
    changed = [name for name in after if before.get(name) != after[name]]
    await record(uow, action, subject, {name: before.get(name) for name in changed}, {name: after[name] for name in changed})


async def note_export(kernel: Kernel, caller: Principal, what: str, after: dict[str, Any] | None = None) -> None:
    """Somebody took ``what`` away as a file: the entry ``contacts.exported``."""
    async with working(kernel, caller.tenant, caller.actor, current_request_id()) as uow:
        await perform(uow, lambda: record(uow, f"{what}.exported", ("tenant", caller.tenant), after=after))


async def complete(uow: UnitOfWork) -> None:
    """The entry of a command on aggregates that left none itself; raises Untold for one that changed anything else in silence."""
    if is_told(uow):
        return
    if not uow.recorded:
        if uow.wrote:
            raise Untold("Something was changed, and no entry of the audit trail says so.")
        return
    leading, *following = [editor for editor in uow.edited() if editor.facts]
    first = leading.facts[0]
    before, after = changed(leading)
    others = [editor.state.number for editor in following if editor.state.KIND == leading.state.KIND]
    if others:
        after |= {"others": others}
    await record(uow, first.event.TOPIC, (leading.state.KIND, first.number), before or None, after or None)


def new_stream() -> UUID:
    """The stream of an entry: a UUID of version 7, so that entries of one time lie side by side in the index of events."""
    at, chance = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    return UUID(int=at << 80 | 7 << 76 | chance >> 68 << 64 | 2 << 62 | chance & (1 << 62) - 1)


def is_told(uow: UnitOfWork) -> bool:
    """Has this unit of work its entry?"""
    return any(type(fact.event) is AuditEntry for fact in uow.recorded)


def changed(editor: Editor[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of an aggregate is different now, before and after."""
    shown = [name for name in editor.state.SHOWN if getattr(editor.before, name) != getattr(editor.state, name)]
    before, after = ({name: msgspec.to_builtins(getattr(state, name)) for name in shown} for state in (editor.before, editor.state))
    return before, after


async def trail_key(uow: UnitOfWork) -> bytes:
    """The key of a tenant's trail, made with its first entry."""
    known = uow.kernel.trail_keys
    key = known.get(uow.tenant)
    if key is not None:
        return key
    place = place_of_key(uow.tenant, TRAIL)
    found = await uow.fetchrow(KEY, TRAIL)
    wrapped = found["wrapped_key"] if found else await uow.insert(NEW_KEY, TRAIL, uow.kernel.vault.seal(new_data_key(), place))
    if wrapped is None:
        return await trail_key(uow)
    key = uow.kernel.vault.open(wrapped, place)

    def remember() -> None:
        if len(known) >= MOST_KEYS:
            known.clear()
        known[uow.tenant] = key

    uow.after_commit(remember)
    return key
