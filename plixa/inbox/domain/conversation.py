"""The conversation: one contact on one number. Its state holds what decisions need, never what messages say."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self

from msgspec.structs import replace

from plixa.inbox.domain.care import FOLDS, Care
from plixa.inbox.domain.events import (
    Absorbed,
    Assigned,
    Blocked,
    Closed,
    ContactChanged,
    ContactRemoved,
    Deleted,
    Echoed,
    Erased,
    Labelled,
    MarkedRead,
    MarkedUnread,
    Merged,
    Moved,
    NotesChanged,
    Opened,
    Queued,
    Received,
    Renamed,
    Reopened,
    Snoozed,
    Unblocked,
    Unlabelled,
    Woken,
)
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.event_store import Aggregate, Event

LONGEST_SNOOZE = timedelta(days=366)


class Status(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Handler(StrEnum):
    """Who answers at the moment."""

    NONE = "none"
    FLOW = "flow"
    AI = "ai"
    HUMAN = "human"


class ConversationClosed(Conflict):
    code = "CONVERSATION_CLOSED"
    default = "Reopen the conversation before snoozing it."


class ContactBlocked(Conflict):
    code = "CONTACT_BLOCKED"
    default = "This contact is blocked. Unblock them before writing to them."


class BlockedMeanwhile(ContactBlocked):
    default = "The contact was blocked before this message was sent."


class Conversation(Aggregate, frozen=True):
    """Open or closed, asleep or awake, somebody's or nobody's. ``contact_id`` is null once the contact was deleted."""

    KIND: ClassVar[str] = "conversation"
    class_version: ClassVar[int] = 2
    SHOWN: ClassVar[tuple[str, ...]] = (
        "status",
        "snoozed_until",
        "assigned_user_id",
        "sector_id",
        "handler",
        "labels",
        "merged_into",
        "blocked",
    )
    contact_id: int | None = 0
    instance_id: int = 0
    phone: str | None = None
    contact_name: str | None = None
    name: str | None = None
    status: Status = Status.OPEN
    episode: int = 1
    snoozed_until: datetime | None = None
    assigned_user_id: int | None = None
    sector_id: int | None = None
    handler: Handler = Handler.NONE
    unread: int = 0
    notes: str | None = None
    labels: frozenset[int] = frozenset()
    absorbed: tuple[int, ...] = ()
    merged_into: int | None = None
    blocked: bool = False
    care: Care = Care()

    def evolve(self, event: Event) -> Self:
        """The state after ``event``, and what is then known of the customer's care."""
        state = super().evolve(event)
        care = state.care.after(event)
        return state if care is state.care else replace(state, care=care)

    def close(self) -> Iterator[Event]:
        """End the episode; closing a closed one is no event."""
        if self.status is Status.CLOSED:
            return
        yield from self.wake("closed")
        yield Closed(self.assigned_user_id)

    def reopen(self, reason: str = "member", now: datetime | None = None) -> Iterator[Event]:
        """Begin a new episode; reopening an open one is no event. A survey that waits ends."""
        if self.status is Status.CLOSED:
            yield Reopened(reason)
            yield from self.care.end_survey("superseded" if reason == "message" else "cancelled", now)

    def snooze(self, until: datetime, now: datetime) -> Iterator[Event]:
        """Out of sight until then; at most a year ahead."""
        if self.status is Status.CLOSED:
            raise ConversationClosed
        if until <= now:
            raise Invalid.field("until", "Choose a time in the future.")
        if until > now + LONGEST_SNOOZE:
            raise Invalid.field("until", "Choose a time within a year.")
        if until != self.snoozed_until:
            yield Snoozed(until)

    def wake(self, reason: str = "manual") -> Iterator[Event]:
        """Back in sight."""
        if self.snoozed_until is not None:
            yield Woken(reason, self.snoozed_until)

    def wake_due(self, now: datetime) -> Iterator[Event]:
        """Back in sight if its time has come."""
        if self.snoozed_until is not None and self.snoozed_until <= now:
            yield Woken("time", self.snoozed_until)

    def assign(self, user_id: int | None, user_name: str | None, rule_id: int | None = None) -> Iterator[Event]:
        """Give it to a member, or to nobody; a rule may have said so."""
        if user_id != self.assigned_user_id:
            yield Assigned(user_id, user_name, self.assigned_user_id, rule_id)

    def move(self, sector_id: int | None) -> Iterator[Event]:
        """Give it to a sector, or to none."""
        if sector_id != self.sector_id:
            yield Moved(sector_id, self.sector_id)

    def read(self) -> Iterator[Event]:
        """Nothing is unread any more."""
        if self.unread:
            yield MarkedRead()

    def mark_unread(self) -> Iterator[Event]:
        """At least one message counts as unread."""
        if not self.unread:
            yield MarkedUnread()

    def rename(self, name: str | None) -> Iterator[Event]:
        """Show another name; empty shows the contact's own."""
        wanted = name.strip() if name else None
        if (wanted or None) != self.name:
            yield Renamed(wanted or None)

    def note(self, notes: str | None) -> Iterator[Event]:
        """Keep a text beside the conversation; empty clears it."""
        if (notes or None) != self.notes:
            yield NotesChanged(notes or None)

    def label(self, label_id: int) -> Iterator[Event]:
        """Attach a label once."""
        if label_id not in self.labels:
            yield Labelled(label_id)

    def unlabel(self, label_id: int) -> Iterator[Event]:
        """Take a label off."""
        if label_id in self.labels:
            yield Unlabelled(label_id)

    def receive(self, message: Received, now: datetime) -> Iterator[Event]:
        """A customer wrote: the conversation opens and wakes, unless the contact is blocked or it is the answer to a survey."""
        survey = None if self.blocked else self.care.survey
        answer = survey.answer(message, now) if survey is not None else None
        if answer is None and not self.blocked:
            yield from self.reopen("message", now)
            yield from self.wake("inbound")
        yield message
        if answer is not None:
            yield answer

    def know_contact(self, contact_id: int, phone: str | None, name: str | None) -> Iterator[Event]:
        """The contact is known better than before."""
        if (contact_id, phone, name) != (self.contact_id, self.phone, self.contact_name):
            yield ContactChanged(contact_id, phone, name)

    def lose_contact(self) -> Iterator[Event]:
        """The contact was deleted, and whoever it was may write again."""
        yield from self.unblock()
        if self.contact_id is not None:
            yield ContactRemoved()

    def block(self) -> Iterator[Event]:
        """Out of sight, until the contact is unblocked and writes again."""
        if not self.blocked:
            yield Blocked()
        yield from self.close()
        yield from self.read()

    def unblock(self) -> Iterator[Event]:
        """What comes next counts again."""
        if self.blocked:
            yield Unblocked()


when = Conversation.when


@when(Opened)
def _(self: Conversation, event: Opened) -> Conversation:
    return replace(
        self,
        contact_id=event.contact_id,
        instance_id=event.instance_id,
        phone=event.phone,
        contact_name=event.name,
    )


@when(Reopened)
def _(self: Conversation, _event: Reopened) -> Conversation:
    return replace(self, status=Status.OPEN, episode=self.episode + 1, handler=Handler.NONE)


@when(Closed)
def _(self: Conversation, _event: Closed) -> Conversation:
    return replace(self, status=Status.CLOSED)


@when(Snoozed)
def _(self: Conversation, event: Snoozed) -> Conversation:
    return replace(self, snoozed_until=event.until)


@when(Woken)
def _(self: Conversation, _event: Woken) -> Conversation:
    return replace(self, snoozed_until=None)


@when(Moved)
def _(self: Conversation, event: Moved) -> Conversation:
    return replace(self, sector_id=event.sector_id)


@when(Assigned)
def _(self: Conversation, event: Assigned) -> Conversation:
    return replace(self, assigned_user_id=event.user_id)


@when(MarkedRead)
def _(self: Conversation, _event: MarkedRead) -> Conversation:
    return replace(self, unread=0)


@when(MarkedUnread)
def _(self: Conversation, _event: MarkedUnread) -> Conversation:
    return replace(self, unread=1)


@when(Renamed)
def _(self: Conversation, event: Renamed) -> Conversation:
    return replace(self, name=event.name)


@when(NotesChanged)
def _(self: Conversation, event: NotesChanged) -> Conversation:
    return replace(self, notes=event.notes)


@when(Labelled)
def _(self: Conversation, event: Labelled) -> Conversation:
    return replace(self, labels=self.labels | {event.label_id})


@when(Unlabelled)
def _(self: Conversation, event: Unlabelled) -> Conversation:
    return replace(self, labels=self.labels - {event.label_id})


@when(ContactChanged)
def _(self: Conversation, event: ContactChanged) -> Conversation:
    return replace(self, contact_id=event.contact_id, phone=event.phone, contact_name=event.name)


@when(ContactRemoved)
def _(self: Conversation, _event: ContactRemoved) -> Conversation:
    return replace(self, contact_id=None)


@when(Blocked, Unblocked)
def _(self: Conversation, event: Blocked | Unblocked) -> Conversation:
    return replace(self, blocked=isinstance(event, Blocked))


@when(Absorbed)
def _(self: Conversation, event: Absorbed) -> Conversation:
    absorbed = (*self.absorbed, event.conversation_id, *event.earlier)
    return replace(self, absorbed=absorbed, unread=self.unread + event.unread)


@when(Received)
def _(self: Conversation, _event: Received) -> Conversation:
    return self if self.blocked else replace(self, unread=self.unread + 1)


@when(Queued)
def _(self: Conversation, event: Queued) -> Conversation:
    return replace(self, handler=Handler.HUMAN) if event.author.type == "user" else self


@when(Echoed)
def _(self: Conversation, _event: Echoed) -> Conversation:
    return self if self.handler is Handler.HUMAN else replace(self, handler=Handler.HUMAN)


@when(Merged)
def _(self: Conversation, event: Merged) -> Conversation:
    return replace(self, status=Status.CLOSED, snoozed_until=None, merged_into=event.into)


@when(Deleted, Erased)
def _(self: Conversation, _event: Event) -> Conversation:
    return replace(self, status=Status.CLOSED, snoozed_until=None)


@when(*(event for event in FOLDS if event not in Conversation.folds))
def _(self: Conversation, _event: Event) -> Conversation:
    return self
