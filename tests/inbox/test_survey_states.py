"""A survey against a model of the table in the semantics: whatever happens, in whatever order, however late its timer is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.inbox.domain.care import SURVEY_WAITS, SurveyAsked, SurveyCommented, SurveyEnded, SurveyRated
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.domain.events import Author, Closed, Content, Media, Opened, Queued, Received
from plixa.kernel.event_store import Event, replay

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANA = Author("user", 7, "Ana")


class Story:
    """A conversation and its clock; what happens is kept."""

    def __init__(self, *, follow_up: bool) -> None:
        self.now, self.told = NOON, list[Event]()
        asked = SurveyAsked(1, 3, 1, "2026-05-04", NOON + SURVEY_WAITS, follow_up, 7, "Ana")
        served = Queued(2, 1, Content("text", "Oi"), ANA, "c2")
        self.state = replay(Conversation(number=1), [Opened(1, 1), received("Oi"), served, Closed(7), asked])

    def happen(self, *events: Event) -> list[Event]:
        self.state = replay(self.state, events)
        self.told += events
        return list(events)

    def hear(self, message: Received) -> list[Event]:
        return self.happen(*self.state.receive(message, self.now))


def received(body: str | None, kind: str = "text") -> Received:
    media = None if kind == "text" else Media("image/png")
    return Received(10, 1, "WA10", Content(kind, body, media), NOON)


def kinds(events: list[Event]) -> list[str]:
    return [event.TOPIC for event in events]


@pytest.mark.parametrize("body", ["5", " 5 ", "5!", "(5)", "5️⃣", "⭐ 5 ⭐", "👍5", "5.", "\n5\n", "**5**"])
def test_a_lone_digit_is_a_rating(body: str) -> None:
    story = Story(follow_up=True)
    rated = story.hear(received(body))[-1]
    assert isinstance(rated, SurveyRated)
    assert (rated.rating, rated.agent_id, rated.comment_until) == (5, 7, None)
    assert (story.state.status, story.state.care.survey) == (Status.CLOSED, None)


@pytest.mark.parametrize("body", ["0", "6", "10", "55", "5/5", "nota 5", "5 estrelas", "cinco", "", None, "½", "5a", "_5_", "1 2"])
def test_anything_else_is_not_and_opens_the_conversation(body: str | None) -> None:
    story = Story(follow_up=True)
    assert kinds(story.hear(received(body))) == ["conversation.reopened", "survey.ended", "message.received"]
    assert story.told[1] == SurveyEnded(1, "superseded")
    assert (story.state.status, story.state.episode) == (Status.OPEN, 2)


def test_a_digit_under_a_picture_is_no_rating() -> None:
    assert Story(follow_up=False).hear(received("5", "image"))[1] == SurveyEnded(1, "superseded")


@pytest.mark.parametrize(
    ("rating", "follow_up", "waits"), [(3, True, True), (1, True, True), (4, True, False), (3, False, False), (1, False, False)]
)
def test_only_a_low_rating_waits_for_a_comment_and_only_where_that_is_wanted(rating: int, follow_up: bool, waits: bool) -> None:
    story = Story(follow_up=follow_up)
    story.hear(received(str(rating)))
    survey = story.state.care.survey
    assert (survey is not None) is waits
    if survey is not None:
        story.now += timedelta(hours=23)
        assert isinstance(story.hear(received("5"))[-1], SurveyCommented)
        assert (story.state.status, story.state.care.survey) == (Status.CLOSED, None)


class Model:
    """The table, and nothing else."""

    def __init__(self, *, follow_up: bool) -> None:
        self.follow_up, self.is_open = follow_up, False
        self.state: str | None = "asked"
        self.until, self.episode = NOON + SURVEY_WAITS, 1
        self.ends: list[str] = []

    def end(self, reason: str, now: datetime) -> None:
        if self.state is not None:
            self.ends.append("expired" if now >= self.until else reason)
        self.state = None

    def open(self, reason: str, now: datetime) -> None:
        if not self.is_open:
            self.is_open, self.episode = True, self.episode + 1
            self.end(reason, now)

    def hear(self, body: str, now: datetime) -> None:
        alive = self.state is not None and now < self.until
        if alive and self.state == "asked" and body in "12345":
            low = self.follow_up and body in "123"
            self.state, self.until = ("awaiting", now + SURVEY_WAITS) if low else (None, now)
            self.ends.append(f"rated {body}")
        elif alive and self.state == "awaiting":
            self.state = None
            self.ends.append("commented")
        else:
            self.open("superseded", now)

    def expire(self, now: datetime) -> None:
        if self.state is not None and now >= self.until:
            self.end("expired", now)


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["1", "3", "4", "5", "Obrigada"]).map(lambda body: ("hear", body)),
        st.sampled_from([1, 12, 24]).map(lambda hours: ("wait", str(hours))),
        st.sampled_from([("timer", ""), ("reopen", ""), ("close", "")]),
    ),
    max_size=12,
)


@given(STEPS, st.booleans())
def test_whatever_happens_it_does_what_the_table_says(steps: list[tuple[str, str]], follow_up: bool) -> None:
    story, model = Story(follow_up=follow_up), Model(follow_up=follow_up)
    for step, what in steps:
        match step:
            case "hear":
                story.hear(received(what))
                model.hear(what, story.now)
            case "wait":
                story.now += timedelta(hours=int(what))
            case "timer":
                story.happen(*story.state.care.expire_survey(story.now))
                model.expire(story.now)
            case "reopen":
                story.happen(*story.state.reopen(now=story.now))
                model.open("cancelled", story.now)
            case "close":
                story.happen(*story.state.close())
                model.is_open = False
        survey = story.state.care.survey
        assert (story.state.status is Status.OPEN, story.state.episode) == (model.is_open, model.episode)
        assert (None if survey is None else "awaiting" if survey.rated else "asked") == model.state
    assert outcomes(story.told) == model.ends


def outcomes(events: list[Event]) -> list[str]:
    """What became of the survey, in the model's words."""
    found = []
    for event in events:
        if isinstance(event, SurveyRated):
            found.append(f"rated {event.rating}")
        elif isinstance(event, SurveyCommented):
            found.append("commented")
        elif isinstance(event, SurveyEnded):
            found.append(event.reason)
    return found
