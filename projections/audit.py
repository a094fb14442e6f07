"""The audit trail as it is read: one row an entry, in the table ``audit_entry``, keyed by the entry's position in the log."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from plixa.kernel.audit import PLATFORM, AuditEntry
from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table


class AuditRow(Struct, frozen=True, gc=False):
    """Who did what to whom. Where staff impersonated a member, they are the actor and it was done on the member's behalf."""

    id: int
    at: datetime
    actor_type: str
    actor_id: int | None
    actor_name: str | None
    behalf_id: int | None
    behalf_name: str | None
    is_staff: bool
    """What staff did, and whatever concerns the platform."""
    action: str
    subject: str
    subject_id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str | None
    agent: str | None
    request_id: str


audit = Projection(Table("audit_entry", AuditRow), key=lambda fact: fact.position)


@audit.creates(AuditEntry)
def recorded(_row: None, entry: AuditEntry, fact: Recorded) -> AuditRow:
    member, staff = fact.actor, fact.actor.impersonated_by
    return AuditRow(
        id=fact.position,
        at=fact.at,
        actor_type="staff" if staff else member.type,
        actor_id=staff.id if staff else member.id,
        actor_name=staff.name if staff else member.name,
        behalf_id=member.id if staff else None,
        behalf_name=member.name if staff else None,
        is_staff=staff is not None or member.type == "staff" or fact.tenant == PLATFORM,
        action=entry.action,
        subject=entry.subject,
        subject_id=entry.subject_id,
        before=entry.before,
        after=entry.after,
        address=entry.address,
        agent=entry.agent,
        request_id=fact.request_id,
    )
