"""Where a contact can be written to, and what we asked them last."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

LIVING: Final = """WITH RECURSIVE one AS (
    SELECT id, merged_into FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id, c.merged_into FROM contact c JOIN one ON c.id = one.merged_into WHERE c.tenant_id = scope.tenant
) SELECT id FROM one WHERE merged_into IS NULL"""
PLACES: Final = """SELECT
    (SELECT c.id FROM inbox_conversation c
     JOIN phone_instance p ON p.tenant_id = c.tenant_id AND p.id = c.phone_instance_id AND p.status = 'connected' AND p.removed_at IS NULL
     WHERE c.tenant_id = scope.tenant AND c.contact_id = $2 ORDER BY c.last_message_at DESC, c.id DESC LIMIT 1) AS live,
    (SELECT id FROM phone_instance WHERE tenant_id = scope.tenant AND status = 'connected' AND removed_at IS NULL
     ORDER BY id LIMIT 1) AS number
WHERE scope.tenant IS NOT NULL"""
REMEMBERED: Final = timedelta(days=1)
"""For so long an answer to an offer that is over is taken for one."""
QUESTIONS: Final = """WITH RECURSIVE one AS (
    SELECT id FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
), asked AS (
    (SELECT 'offer' AS kind, w.id, w.hold_id, NULL::text AS answer, w.notified_at AS at
     FROM waitlist_entry w JOIN one ON w.contact_id = one.id WHERE w.tenant_id = scope.tenant AND w.status = 'offered'
     ORDER BY w.notified_at DESC LIMIT 1)
    UNION ALL
    (SELECT 'reminder', a.id, NULL, a.answer, a.reminded_at FROM appointment a JOIN one ON a.contact_id = one.id
     WHERE a.tenant_id = scope.tenant AND a.start_at > $3::timestamptz AND a.status = 'confirmed' AND a.reminded_at IS NOT NULL
     ORDER BY a.reminded_at DESC LIMIT 1)
    UNION ALL
    (SELECT 'over', w.id, NULL, NULL, w.notified_at FROM waitlist_entry w JOIN one ON w.contact_id = one.id
     WHERE w.tenant_id = scope.tenant AND w.status = 'waiting' AND w.notified_at > $4::timestamptz ORDER BY w.notified_at DESC LIMIT 1)
) SELECT kind, id, hold_id, answer, EXISTS (
    SELECT FROM inbox_message m WHERE m.tenant_id = scope.tenant AND m.conversation_id = $5::bigint AND m.sent_at > asked.at
        AND m.author_type IN ('user', 'device')
) AS is_talked FROM asked ORDER BY (kind = 'offer') DESC, at DESC"""


class Question(Struct, frozen=True):
    """What a contact was asked: whether they take offered time, or keep an appointment; ``over`` is an offer that is no more.

    ``id`` is the entry's or the appointment's, ``answer`` what they said to it before; ``is_talked``: a human wrote to them since.
    """

    kind: Literal["offer", "reminder", "over"]
    id: int
    hold_id: int | None
    answer: str | None
    is_talked: bool


async def find_living(uow: UnitOfWork, contact: int) -> int:
    """The contact that somebody is today; raises NotFound."""
    row = await uow.fetchrow(LIVING, contact)
    if row is None:
        raise NotFound
    return int(row["id"])


async def find_places(uow: UnitOfWork, contact: int) -> tuple[int | None, int | None]:
    """A contact's latest conversation on a connected number, and the first connected number."""
    (row,) = await uow.fetch(PLACES, contact)
    return row["live"], row["number"]


async def list_questions(uow: UnitOfWork, contact: int, conversation: int, now: datetime) -> Iterable[Question]:
    """What a contact may be answering, the likeliest first."""
    return [Question(*row) for row in await uow.fetch(QUESTIONS, contact, now, now - REMEMBERED, conversation)]
