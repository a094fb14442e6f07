"""What a member sees of the log as it grows."""

from typing import Any

import msgspec

from plixa.inbox.domain import care
from plixa.inbox.domain import events as happened
from plixa.inbox.queries.conversations import ConversationView, find_conversations
from plixa.inbox.queries.messages import MessageView, find_messages
from plixa.kernel.audit import AuditEntry
from plixa.kernel.auth import Principal
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.realtime import Change
from plixa.kernel.uow import Kernel

WRITTEN = (happened.Received, happened.Echoed, happened.Queued, happened.NoteAdded)
MOVED = (happened.Accepted, happened.Acknowledged, happened.Failed, happened.InDoubt, happened.Stalled)
ALTERED = (happened.Edited, happened.Revoked, happened.Reacted, happened.MediaStored, happened.MediaMissing)
KEPT = (care.SurveyKept, care.ActivityKept, care.AnswersKept)
"""What outlives a conversation is news to nobody."""
GONE = (happened.Deleted, happened.Erased, happened.Merged)
LISTS = {
    "label": "labels",
    "custom_field": "custom_field_definitions",
    "saved_reply": "saved_replies",
    "assignment_rule": "auto_assignment_rules",
    "contact": "contacts",
    "contacts": "contacts",
}
"""Lists the panel keeps at hand, by what the audit trail calls their members."""


async def render(kernel: Kernel, principal: Principal, facts: list[Recorded]) -> list[Change]:
    """The changes a batch of events means to one member; rows are shown as they are now."""
    uow = kernel.unit(principal.tenant)
    uow.principal = principal
    try:
        conversations = await find_conversations(uow, sorted({fact.number for fact in facts if concerns_inbox(fact.event)}))
        touched = sorted({fact.event.message_id for fact in facts if isinstance(fact.event, (*WRITTEN, *MOVED, *ALTERED))})
        messages = await find_messages(uow, touched)
    finally:
        uow.close()
    return [change for fact in facts for change in changes(fact, principal.user_id, conversations, messages)]


def concerns_inbox(event: Event) -> bool:
    """Is it an event of a conversation?"""
    return type(event).__module__ in (happened.__name__, care.__name__) and not isinstance(event, KEPT)


def changes(fact: Recorded, member: int, conversations: dict[int, ConversationView], messages: dict[int, MessageView]) -> list[Change]:
    """One event; nothing of a conversation that is hidden from the member, or gone by now.

    ``ConversationHidden`` says that it was just taken from view; ``ConversationDeleted``, which holds but a number, goes to everybody.
    """
    event = fact.event
    if not concerns_inbox(event):
        return changes_around(fact)
    if isinstance(event, GONE):
        return [change(fact, "ConversationDeleted", {"id": fact.number})]
    if isinstance(event, (*WRITTEN, *MOVED, *ALTERED)):
        return message_changes(fact, event.message_id, conversations, messages)
    conversation = conversations.get(fact.number)
    if conversation is None:
        taken = isinstance(event, happened.Assigned) and event.previous_user_id in (None, member)
        return [change(fact, "ConversationHidden", {"id": fact.number})] if taken else []
    if isinstance(event, happened.Woken):
        return [change(fact, "ConversationUpdated", woken(conversation, event))]
    created = isinstance(event, happened.Opened)
    return [change(fact, "ConversationCreated" if created else "ConversationUpdated", conversation)]


def woken(conversation: ConversationView, event: happened.Woken) -> dict[str, Any]:
    """A conversation that is back in sight, why, and until when it would have slept."""
    shown: dict[str, Any] = msgspec.to_builtins(conversation)
    return shown | {"reason": event.reason, "previous_snooze_until": event.previous_until}


def changes_around(fact: Recorded) -> list[Change]:
    """An event of a number, of a member, or of something the workspace has a list of."""
    event = fact.event
    if event.TOPIC.startswith("phone_instance."):
        return [change(fact, "PhoneInstanceUpdated", {"id": fact.number, "change": event.TOPIC.partition(".")[2]})]
    if isinstance(event, AuditEntry) and event.action == "member.availability_changed":
        return [change(fact, "AvailabilityChanged", {"user_id": event.subject_id} | (event.after or {}))]
    if isinstance(event, AuditEntry) and event.action.partition(".")[0] in LISTS:
        return [change(fact, "WorkspaceUpdated", {"keys": [LISTS[event.action.partition(".")[0]]]})]
    return []


def message_changes(
    fact: Recorded, number: int, conversations: dict[int, ConversationView], messages: dict[int, MessageView]
) -> list[Change]:
    """An event of a message, and of its conversation where the list shows it."""
    message = messages.get(number)
    conversation = conversations.get(message.conversation_id) if message else None
    if message is None or conversation is None:
        return []
    if isinstance(fact.event, MOVED):
        return [change(fact, "MessageStatusUpdated", message)]
    if isinstance(fact.event, ALTERED):
        return [change(fact, "MessageUpdated", message)]
    return [change(fact, "MessageCreated", message), change(fact, "ConversationUpdated", conversation)]


def change(fact: Recorded, name: str, data: Any) -> Change:
    """A change of the position at which the event stands."""
    return Change(fact.position, name, msgspec.json.encode(data))
