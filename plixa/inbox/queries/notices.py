"""Who is told of what happens in the inbox, and in which words: asked when it happens, and again at the last moment before it is said."""

from datetime import datetime
from typing import Any, Final

from plixa.inbox.domain.care import FIRST_RESPONSE, RESOLUTION, TargetMissed
from plixa.inbox.domain.events import Assigned, Received
from plixa.inbox.queries.messages import find_message_row
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.domain.push import Notice
from plixa.notifications.queries.push import Hearer
from plixa.whatsapp.domain.instance import BY_MEMBER, QR_LIMIT, Disconnected, Restricted
from projections.inbox import InboxRow, inbox

NEWS: Final = (Received, Assigned, TargetMissed, Disconnected, Restricted)
"""The events of which somebody may have to hear."""
ROWS: Final = f"SELECT {', '.join(inbox.table.names)} FROM inbox_conversation WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])"  # noqa: S608
NUMBER: Final = "SELECT label, number, status FROM phone_instance WHERE tenant_id = scope.tenant AND id = $2 AND removed_at IS NULL"
LOST: Final = ("disconnected", "restricted")


async def list_rows(uow: UnitOfWork, numbers: list[int]) -> dict[int, InboxRow]:
    """Conversations as they are now, by id."""
    return {row.id: row for row in map(inbox.table.restore, await uow.fetch(ROWS, numbers))} if numbers else {}


def hears_message(hearer: Hearer, row: InboxRow | None) -> bool:
    """Of a customer's message hear those whose it is to answer, until it is read."""
    return row is not None and row.unread_count > 0 and answers(hearer, row)


def hears_target(hearer: Hearer, row: InboxRow | None) -> bool:
    """Of a customer who waits for too long hear the same."""
    return row is not None and missed_of(row) is not None and answers(hearer, row)


def missed_of(row: InboxRow) -> str | None:
    """The target that was missed and that somebody can still do something about."""
    if row.is_first_response_missed and row.first_responded_at is None:
        return FIRST_RESPONSE
    return RESOLUTION if row.is_resolution_missed else None


def hears_near(hearer: Hearer, row: InboxRow | None, due: int) -> bool:
    """Of a customer who will have waited for too long soon hear the same."""
    return row is not None and near_of(row, due) is not None and answers(hearer, row)


def near_of(row: InboxRow, due: int) -> str | None:
    """The target that is due then, in seconds of the epoch, and still may be met."""
    if row.first_responded_at is None and not row.is_first_response_missed and is_at(row.first_response_due_at, due):
        return FIRST_RESPONSE
    return RESOLUTION if not row.is_resolution_missed and is_at(row.resolution_due_at, due) else None


def is_at(moment: datetime | None, second: int) -> bool:
    """Is it within that second of the epoch?"""
    return moment is not None and int(moment.timestamp()) == second


def answers(hearer: Hearer, row: InboxRow) -> bool:
    """Whose conversation it is answers; one that is nobody's whoever takes new conversations."""
    if row.blocked or row.status != "open":
        return False
    return row.assigned_user_id == hearer.id if row.assigned_user_id is not None else hearer.is_available is not False


def hears_assignment(hearer: Hearer, row: InboxRow | None) -> bool:
    """Whose it is now."""
    return row is not None and not row.blocked and row.assigned_user_id == hearer.id


def news_for(hearer: Hearer, fact: Recorded, row: InboxRow | None) -> tuple[str, dict[str, int]] | None:
    """What an event is to somebody: who writes the notice, and what of; None where they need not hear of it."""
    event, conversation = fact.event, {"conversation_id": fact.number}
    by_themselves = (fact.actor.type, fact.actor.id) == ("member", hearer.id)
    match event:
        case Received() if hears_message(hearer, row):
            return "message", {**conversation, "message_id": event.message_id}
        case Assigned() if hears_assignment(hearer, row) and not by_themselves:
            return "assignment", conversation
        case TargetMissed() if hears_target(hearer, row):
            return "target", conversation
        case Disconnected() | Restricted() if hears_phone(hearer) and not is_wanted(event):
            return "phone", {"instance_id": fact.number}
    return None


def is_wanted(event: Event) -> bool:
    """Was a number unlinked here, or a pairing left to run out?"""
    return isinstance(event, Disconnected) and event.reason in (BY_MEMBER, QR_LIMIT)


def hears_phone(hearer: Hearer) -> bool:
    """The owner alone can mend it."""
    return hearer.role == "owner"


async def write_message(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A customer wrote; None where that is read, taken back, gone or no longer for this member."""
    row = await uow.row(inbox, about["conversation_id"])
    message = await find_message_row(uow, about["message_id"])
    if row is None or message is None or message.revoked_at is not None or not hears_message(hearer, row):
        return None
    urgency = "normal" if row.assigned_user_id is not None else "high"
    return conversation_notice(row, about, kind="message", body=message.body or "", content=message.type, urgency=urgency)


async def write_assignment(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A conversation was given to this member, and still is theirs."""
    row = await uow.row(inbox, about["conversation_id"])
    if row is None or not hears_assignment(hearer, row):
        return None
    return conversation_notice(row, about, kind="assigned", body=row.last_message_body or "", content=row.last_message_type, urgency="high")


async def write_target(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A target was missed, which ``content`` names; None where that is over, or no longer for this member."""
    row = await uow.row(inbox, about["conversation_id"])
    if row is None or not hears_target(hearer, row):
        return None
    return conversation_notice(row, about, kind="target_missed", body=row.last_message_body or "", content=missed_of(row), urgency="high")


async def write_near(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A target is near, which ``content`` names; None where it was met, moved or missed since, or is no longer for this member."""
    row = await uow.row(inbox, about["conversation_id"])
    if row is None or uow.now.timestamp() > about["due"] or not hears_near(hearer, row, about["due"]):
        return None
    near = near_of(row, about["due"])
    return conversation_notice(row, about, kind="target_near", body=row.last_message_body or "", content=near, urgency="high")


async def write_phone(uow: UnitOfWork, hearer: Hearer, about: dict[str, Any]) -> Notice | None:
    """A number was lost, and is not back."""
    row = await uow.fetchrow(NUMBER, about["instance_id"])
    if row is None or row["status"] not in LOST or not hears_phone(hearer):
        return None
    place = f"phone_instance/{about['instance_id']}"
    title, at = row["label"] or row["number"] or "", datetime.fromisoformat(about["at"])
    return Notice(kind=f"phone_{row['status']}", title=title, url="/settings/phones", tag=place, at=at, urgency="high")


def conversation_notice(row: InboxRow, about: dict[str, Any], **more: Any) -> Notice:
    """A notice that leads to a conversation, and takes the place of an older one of it."""
    title, at = row.custom_name or row.contact_name or row.phone or "", datetime.fromisoformat(about["at"])
    return Notice(title=title, url=f"/inbox/{row.id}", tag=f"conversation/{row.id}", at=at, **more)


WRITERS: Final = {
    "message": write_message,
    "assignment": write_assignment,
    "target": write_target,
    "near": write_near,
    "phone": write_phone,
}
"""Who writes a notice, by what it is about."""
