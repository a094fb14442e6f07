"""How busy an inbox is: ``inbox_activity`` counts what happens in each conversation by the quarter of an hour, ``inbox_wait`` how long
customers wait for the first human answer of an episode.

Quarters, because in some places days begin at half past. A conversation's, because events are read with its key: what was counted of
one that is deleted or erased comes again as a number and nothing else (``activity.kept``).
"""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple, replace

from plixa.inbox.domain.care import ActivityKept, AnswersKept
from plixa.inbox.domain.events import Closed, Deleted, Echoed, Erased, Merged, Opened, Queued, Received, Reopened
from plixa.kernel.event_store import Event, Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table

QUARTER: Final = 900
"""Seconds."""
BITS: Final = 24
"""What the number of a quarter takes, until the year 2448."""


def quarter_of(at: datetime) -> int:
    """The quarters of an hour since 1970, UTC."""
    return int(at.timestamp()) // QUARTER


class ActivityRow(Struct, frozen=True, gc=False):
    """What happened in one conversation in one quarter of an hour; ``sent``: by members, bots and the owner's own phone."""

    id: int
    conversation_id: int
    quarter: int
    opened: int = 0
    reopened: int = 0
    closed: int = 0
    received: int = 0
    sent: int = 0


def key_of(fact: Recorded) -> int:
    """The row of a conversation and a quarter."""
    kept = fact.event
    if isinstance(kept, ActivityKept):
        return kept.conversation_id << BITS | kept.quarter
    return fact.number << BITS | quarter_of(fact.at)


def day_of(at: datetime) -> str:
    """The day in UTC, YYYY-MM-DD, by which messages are counted."""
    return at.astimezone(UTC).date().isoformat()


def messages_of(row: ActivityRow) -> dict[str, int]:
    """The messages of a row, on their day."""
    return {day_of(datetime.fromtimestamp(row.quarter * QUARTER, UTC)): row.received + row.sent}


activity = Projection(Table("inbox_activity", ActivityRow, group="conversation_id"), key=key_of, counts=messages_of)
activity.regroups(Deleted, to=lambda _event: None)
activity.regroups(Erased, to=lambda _event: None)
activity.regroups(Merged, to=lambda event: event.into)

COUNTED: Final[dict[type[Event], str]] = {
    Opened: "opened",
    Reopened: "reopened",
    Closed: "closed",
    Received: "received",
    Queued: "sent",
    Echoed: "sent",
}


@activity.renews(*COUNTED)
def counted(row: ActivityRow | None, event: Event, fact: Recorded) -> ActivityRow:
    before = row or ActivityRow(key_of(fact), fact.number, quarter_of(fact.at))
    name = COUNTED[type(event)]
    return replace(before, **{name: getattr(before, name) + 1})


@activity.renews(ActivityKept)
def kept(_row: ActivityRow | None, event: ActivityKept, fact: Recorded) -> ActivityRow:
    return ActivityRow(key_of(fact), *astuple(event))


class WaitRow(Struct, frozen=True, gc=False):
    """A conversation whose customer waits since ``asked_at``, until the present episode ``is_over`` or answered.

    ``answers``: of all its episodes the quarter of the first answer, and the seconds it took; they stay when it goes on in another.
    """

    id: int
    asked_at: datetime | None = None
    is_over: bool = False
    answers: list[tuple[int, int]] = []


def tally(row: WaitRow) -> dict[str, int]:
    """How many first answers a conversation adds to each quarter, and how many seconds."""
    total: dict[str, int] = {}
    for quarter, seconds in row.answers:
        total[f"{quarter}:answers"] = total.get(f"{quarter}:answers", 0) + 1
        total[f"{quarter}:seconds"] = total.get(f"{quarter}:seconds", 0) + seconds
    return total


waits = Projection(Table("inbox_wait", WaitRow), counts=tally)


@waits.creates(Opened)
def opened(_row: None, _event: Opened, fact: Recorded) -> WaitRow:
    return WaitRow(fact.number)


@waits.renews(AnswersKept)
def answers_kept(_row: WaitRow | None, event: AnswersKept, fact: Recorded) -> WaitRow:
    return WaitRow(fact.number, is_over=True, answers=event.answers)


@waits.on(Reopened)
def reopened(row: WaitRow, _event: Reopened, _fact: Recorded) -> WaitRow:
    return replace(row, asked_at=None, is_over=False)


@waits.on(Closed)
def closed(row: WaitRow, _event: Closed, _fact: Recorded) -> WaitRow:
    return replace(row, asked_at=None, is_over=True)


@waits.on(Received)
def received(row: WaitRow, _event: Received, fact: Recorded) -> WaitRow:
    return row if row.is_over or row.asked_at is not None else replace(row, asked_at=fact.at)


@waits.on(Queued, Echoed)
def answered(row: WaitRow, event: Queued | Echoed, fact: Recorded) -> WaitRow:
    if row.is_over or (isinstance(event, Queued) and event.author.type != "user"):
        return row
    if row.asked_at is None:
        return replace(row, is_over=True)
    seconds = int((fact.at - row.asked_at).total_seconds())
    return replace(row, asked_at=None, is_over=True, answers=[*row.answers, (quarter_of(fact.at), seconds)])


@waits.on(Merged)
def merged(row: WaitRow, _event: Merged, _fact: Recorded) -> WaitRow:
    return replace(row, asked_at=None, is_over=True)


@waits.on(Deleted, Erased)
def gone(_row: WaitRow, _event: Event, _fact: Recorded) -> None:
    return None
