"""What members see of the calendar as it changes."""

from typing import Final

import msgspec

from plixa.kernel.audit import AuditEntry
from plixa.kernel.auth import Principal
from plixa.kernel.event_store import Recorded
from plixa.kernel.realtime import Change
from plixa.kernel.uow import Kernel
from plixa.scheduling.domain import events as happened
from plixa.scheduling.queries.appointments import AppointmentView, find_appointments

UNSHOWN: Final = (happened.Reminded, happened.ReminderSkipped)
LISTS: Final = {
    "service": "services",
    "resource": "resources",
    "closure": "closures",
    "provider_schedule": "providers",
    "holiday_config": "closures",
    "holidays": "closures",
    "calendar_filter": "calendar_filters",
    "google_calendar": "google_calendar",
}
"""Lists the panel keeps at hand, by what the audit trail calls their members."""


async def render(kernel: Kernel, principal: Principal, facts: list[Recorded]) -> list[Change]:
    """The changes a batch of events means to a member; appointments are shown as they are now."""
    touched = sorted({fact.number for fact in facts if type(fact.event).__module__ == happened.__name__})
    uow = kernel.unit(principal.tenant)
    try:
        shown = {view.id: view for view in await find_appointments(uow, touched)} if touched else {}
    finally:
        uow.close()
    return [change for fact in facts for change in changes(fact, shown)]


def changes(fact: Recorded, shown: dict[int, AppointmentView]) -> list[Change]:
    """One event of an appointment, of the waitlist, or of something the calendar has a list of."""
    event = fact.event
    if isinstance(event, AuditEntry):
        return changes_around(fact, event.action.partition(".")[0]) + changes_in_line(fact, event)
    view = shown.get(fact.number) if type(event).__module__ == happened.__name__ else None
    if view is None or isinstance(event, UNSHOWN):
        return []
    return [change(fact, "AppointmentCreated" if isinstance(event, happened.Booked) else "AppointmentUpdated", view)]


def changes_around(fact: Recorded, kind: str) -> list[Change]:
    """What the trail tells of the calendar's surroundings."""
    if kind == "waitlist_entry":
        return [change(fact, "WaitlistUpdated", {"id": fact.number})]
    return [change(fact, "WorkspaceUpdated", {"keys": [LISTS[kind]]})] if kind in LISTS else []


def changes_in_line(fact: Recorded, entry: AuditEntry) -> list[Change]:
    """Whose waiting goes on or ends with something else that was done."""
    waited = ((entry.before or {}) | (entry.after or {})).get("waitlist_entry")
    return [change(fact, "WaitlistUpdated", {"id": waited})] if waited is not None else []


def change(fact: Recorded, name: str, data: object) -> Change:
    """A change of the position at which the event stands."""
    return Change(fact.position, name, msgspec.json.encode(data))
