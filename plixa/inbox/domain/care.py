"""How a customer is cared for: surveys, targets and the closed-hours reply. Their events, and what a conversation knows of them."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Self

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.events import Absorbed, Author, Closed, Echoed, Merged, Queued, Received, Reopened
from plixa.kernel.event_store import Event

RATING: Final = re.compile(r"^\W*([1-5])\W*$")
"""A lone digit, with whatever stands around it; also as a keycap emoji."""
LOW: Final = 3
"""A rating of so much or less may be asked about."""
SURVEY_WAITS: Final = timedelta(hours=24)
"""For a rating, and once more for a comment."""
CLOCKS: Final = timedelta(seconds=5)
"""How far the clock by which a message was sent, which knows whole seconds, may be behind ours."""
RATED, ASKED_WHY, COMMENTED = "rated", "rated, and asked for a comment", "commented"
"""What the pipeline says of a message that answers a survey."""
FIRST_RESPONSE, RESOLUTION = "first_response", "resolution"


class Target(Struct, frozen=True, omit_defaults=True, gc=False):
    """``seconds`` from ``since``, which is null while the clock has not begun; ``due_at`` is null where it never runs out."""

    seconds: int
    since: datetime | None = None
    due_at: datetime | None = None


class TargetsSet(Event, frozen=True):
    """By when this episode is to be answered and closed; again when its clock begins, or the hours by which it runs were changed."""

    TOPIC: ClassVar[str] = "conversation.targets_set"
    first_response: Target | None = None
    resolution: Target | None = None


class TargetMissed(Event, frozen=True):
    """``target``: first_response or resolution; it was due then."""

    TOPIC: ClassVar[str] = "conversation.target_missed"
    target: str
    due_at: datetime


class AwayTold(Event, frozen=True):
    """The customer was told, by a message, that it has been closed since then."""

    TOPIC: ClassVar[str] = "conversation.away_told"
    message_id: int
    closed_since: datetime


class OptedOut(Event, frozen=True):
    """By this message the contact wants no more broadcasts."""

    TOPIC: ClassVar[str] = "contact.opted_out"
    message_id: int
    contact_id: int


class OptedIn(Event, frozen=True):
    """By this message the contact wants broadcasts again."""

    TOPIC: ClassVar[str] = "contact.opted_in"
    message_id: int
    contact_id: int


class SurveyAsked(Event, frozen=True):
    """The customer was asked to rate an episode; ``day`` is the workspace's date, ``agent`` whose score it will be."""

    TOPIC: ClassVar[str] = "survey.asked"
    survey_id: int
    message_id: int
    episode: int
    day: str
    expires_at: datetime
    follow_up: bool = False
    agent_id: int | None = None
    agent_name: str | None = None


class SurveyRated(Event, frozen=True):
    """From 1 to 5; where a comment is asked for it may come until ``comment_until``."""

    TOPIC: ClassVar[str] = "survey.rated"
    survey_id: int
    message_id: int
    rating: int
    agent_id: int | None = None
    comment_until: datetime | None = None


class SurveyCommented(Event, frozen=True):
    """This message is what the customer says about a low rating."""

    TOPIC: ClassVar[str] = "survey.commented"
    survey_id: int
    message_id: int


class SurveyEnded(Event, frozen=True):
    """No answer any more; ``reason``: expired, superseded (the customer wrote something else) or cancelled (reopened, or merged)."""

    TOPIC: ClassVar[str] = "survey.ended"
    survey_id: int
    reason: str


class ActivityKept(Event, frozen=True):
    """What happened in a conversation within one quarter of an hour, in numbers: it is deleted or erased, and reports still count it.

    Kept in a stream of its own. ``sent``: by members, bots and the owner's own phone.
    """

    TOPIC: ClassVar[str] = "activity.kept"
    conversation_id: int
    quarter: int
    opened: int
    reopened: int
    closed: int
    received: int
    sent: int


class AnswersKept(Event, frozen=True):
    """The first human answers of a conversation's episodes, kept likewise: the quarter of each, and the seconds it took."""

    TOPIC: ClassVar[str] = "answers.kept"
    conversation_id: int
    answers: list[tuple[int, int]]


class SurveyKept(Event, frozen=True):
    """What a survey came to, kept in a stream of its own because its conversation is deleted or erased: reports still count it."""

    TOPIC: ClassVar[str] = "survey.kept"
    survey_id: int
    conversation_id: int
    episode: int
    day: str
    asked_at: datetime
    agent_id: int | None = None
    agent_name: str | None = None
    rating: int | None = None
    rated_at: datetime | None = None
    comment_message_id: int | None = None


class Survey(Struct, frozen=True, gc=False):
    """A survey that waits, for a rating or, once ``rated``, for a comment; ``until`` then."""

    id: int
    until: datetime
    follow_up: bool = False
    agent_id: int | None = None
    rated: bool = False

    def answer(self, message: Received, now: datetime) -> Event | None:
        """What a message is to it: a rating, a comment, or, as None, something else, such as what was written before it was asked."""
        body = message.content.body if message.content.type == "text" else None
        if not body or now >= self.until:
            return None
        if self.rated:
            return SurveyCommented(self.id, message.message_id)
        digit = RATING.match(body)
        if digit is None or message.sent_at < self.until - SURVEY_WAITS - CLOCKS:
            return None
        rating = int(digit[1])
        until = now + SURVEY_WAITS if self.follow_up and rating <= LOW else None
        return SurveyRated(self.id, message.message_id, rating, self.agent_id, until)


class Care(Struct, frozen=True, omit_defaults=True):
    """What a conversation knows of its customer's care; but for ``heard``, ``survey`` and ``told`` of the present episode alone.

    ``heard``: the customer has written, ever; ``asked``: in this episode. ``answered``: a human has answered; ``served``: or the AI has.
    ``author`` is the member who wrote last. ``told``: since when it was closed when the customer was last told so.
    """

    is_open: bool = True
    heard: bool = False
    asked: bool = False
    answered: bool = False
    served: bool = False
    author: Author | None = None
    targets: TargetsSet | None = None
    missed: frozenset[str] = frozenset()
    survey: Survey | None = None
    told: datetime | None = None

    def after(self, event: Event) -> Self:
        """What is known after ``event``."""
        fold = FOLDS.get(type(event))
        return self if fold is None else fold(self, event)

    def pending(self) -> dict[str, Target]:
        """Targets that may still be hit."""
        if not self.is_open or self.targets is None:
            return {}
        running = {FIRST_RESPONSE: None if self.answered else self.targets.first_response, RESOLUTION: self.targets.resolution}
        return {name: target for name, target in running.items() if target is not None and name not in self.missed}

    def running(self) -> Iterator[Event]:
        """The targets that may still be hit, for the conversation in which this one goes on; their timers find it there."""
        pending = self.pending()
        if pending:
            yield TargetsSet(pending.get(FIRST_RESPONSE), pending.get(RESOLUTION))

    def miss(self, now: datetime) -> list[Event]:
        """Targets whose time is over; what happens at the very instant is in time."""
        due = {name: target.due_at for name, target in self.pending().items()}
        return [TargetMissed(name, at) for name, at in due.items() if at is not None and now > at]

    def end_survey(self, reason: str, now: datetime | None = None) -> Iterator[Event]:
        """A survey that waits ends for a reason, unless its time was over before."""
        if self.survey is not None:
            is_over = now is not None and now >= self.survey.until
            yield SurveyEnded(self.survey.id, "expired" if is_over else reason)

    def expire_survey(self, now: datetime) -> Iterator[Event]:
        """A survey whose time is over ends."""
        if self.survey is not None and now >= self.survey.until:
            yield SurveyEnded(self.survey.id, "expired")


def begun(care: Care, _event: Reopened) -> Care:
    """A new episode."""
    return Care(heard=care.heard, survey=care.survey, told=care.told)


def heard(care: Care, _event: Event) -> Care:
    """The customer wrote."""
    return care if care.heard and care.asked else replace(care, heard=True, asked=True)


def written(care: Care, event: Queued) -> Care:
    """We wrote; only members are human, and bots serve nobody."""
    if event.author.type == "user":
        return replace(humane(care, event), author=event.author)
    return replace(care, served=True) if event.author.type == "ai" and not care.served else care


def humane(care: Care, _event: Event) -> Care:
    """A human wrote; an episode that is over is answered no more."""
    return care if care.answered or not care.is_open else replace(care, answered=True, served=True)


def rated(care: Care, event: SurveyRated) -> Care:
    """A survey is over with its rating, unless it waits for a comment."""
    if care.survey is None or event.comment_until is None:
        return replace(care, survey=None)
    return replace(care, survey=replace(care.survey, rated=True, until=event.comment_until))


FOLDS: Final[dict[type[Event], Callable[[Any, Any], Any]]] = {
    Reopened: begun,
    Closed: lambda care, _: replace(care, is_open=False),
    Merged: lambda care, _: replace(care, is_open=False),
    Absorbed: lambda care, _: replace(care, heard=True),
    Received: heard,
    Queued: written,
    Echoed: humane,
    TargetsSet: lambda care, event: replace(care, targets=event),
    TargetMissed: lambda care, event: replace(care, missed=care.missed | {event.target}),
    AwayTold: lambda care, event: replace(care, told=event.closed_since),
    SurveyAsked: lambda care, event: replace(care, survey=Survey(event.survey_id, event.expires_at, event.follow_up, event.agent_id)),
    SurveyRated: rated,
    SurveyCommented: lambda care, _: replace(care, survey=None),
    SurveyEnded: lambda care, _: replace(care, survey=None),
}
"""How each event changes what is known."""
