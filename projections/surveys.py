"""Satisfaction surveys: one row a survey, as reports list and count them. Table ``csat_response`` and its counters.

A row says nothing of whom it was that rated, nor what they wrote; it stays when its conversation is deleted or erased.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.inbox.domain.care import SurveyAsked, SurveyCommented, SurveyKept, SurveyRated
from plixa.inbox.domain.events import Merged
from plixa.kernel.event_store import Recorded
from plixa.kernel.projection import Projection
from plixa.kernel.table import Table


class SurveyRow(Struct, frozen=True, gc=False):
    """One survey; ``day`` (of the workspace, YYYY-MM-DD) is when it was asked, by which everything is counted."""

    id: int
    conversation_id: int
    episode: int
    day: str
    asked_at: datetime
    agent_id: int | None = None
    agent_name: str | None = None
    rating: int | None = None
    rated_at: datetime | None = None
    comment_message_id: int | None = None


def tally(row: SurveyRow) -> Iterator[str]:
    """``day:agent:0`` counts what was asked, ``day:agent:5`` the fives; agent 0 is nobody."""
    whose = f"{row.day}:{row.agent_id or 0}"
    yield f"{whose}:0"
    if row.rating is not None:
        yield f"{whose}:{row.rating}"


surveys = Projection(
    Table("csat_response", SurveyRow, group="conversation_id"),
    key=lambda fact: fact.event.survey_id,  # type: ignore[attr-defined]
    counts=tally,
)
surveys.regroups(Merged, to=lambda event: event.into)


@surveys.creates(SurveyAsked)
def asked(_row: None, event: SurveyAsked, fact: Recorded) -> SurveyRow:
    return SurveyRow(event.survey_id, fact.number, event.episode, event.day, fact.at, event.agent_id, event.agent_name)


@surveys.on(SurveyRated)
def rated(row: SurveyRow, event: SurveyRated, fact: Recorded) -> SurveyRow:
    return replace(row, rating=event.rating, rated_at=fact.at)


@surveys.on(SurveyCommented)
def commented(row: SurveyRow, event: SurveyCommented, _fact: Recorded) -> SurveyRow:
    return replace(row, comment_message_id=event.message_id)


@surveys.renews(SurveyKept)
def kept(_row: SurveyRow | None, event: SurveyKept, _fact: Recorded) -> SurveyRow:
    return SurveyRow(
        event.survey_id,
        event.conversation_id,
        event.episode,
        event.day,
        event.asked_at,
        event.agent_id,
        event.agent_name,
        event.rating,
        event.rated_at,
        event.comment_message_id,
    )
