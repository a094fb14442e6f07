"""The audit trail: who did what to whom, in the tenant's own log, so that one chain proves it and the domain's events.

Each subject (a member, a token, a label) has a stream of its own: only writers of the same subject wait for each other.
"""

from functools import lru_cache
from typing import Any, ClassVar, Final

from plixa.kernel.event_store import Aggregate, Event
from plixa.kernel.requests import current_request
from plixa.kernel.uow import UnitOfWork

PLATFORM: Final = 0
"""The log of what concerns no workspace, kept as a tenant's is: tries to sign in with addresses nobody has."""
OPEN_LOG: Final = "INSERT INTO log_head (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
"""A tenant's log begins; before its first event."""

Subject = tuple[str, int]
"""Kind and id, e.g. ``("member", 7)``."""


class AuditEntry(Event, frozen=True):
    """Something was done, or refused, to a subject. Never holds a secret or the text of a message."""

    TOPIC: ClassVar[str] = "audit.recorded"

    action: str
    subject: str
    subject_id: int
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    address: str | None = None
    agent: str | None = None


async def record(
    uow: UnitOfWork,
    action: str,
    subject: Subject,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add an entry (``member.signed_in``) to the subject's stream, saved with whatever else this unit of work does."""
    request = current_request()
    address, agent = (request.address, request.agent) if request else (None, None)
    async with uow.append(trail(subject[0]), subject[1]) as entries:
        entries.record(AuditEntry(action, *subject, before, after, address, agent))


@lru_cache(maxsize=256)
def trail(kind: str) -> type[Aggregate]:
    """The streams of one kind of subject: ``audit/member``."""

    class Trail(Aggregate, frozen=True):
        KIND: ClassVar[str] = f"audit/{kind}"

    return Trail
