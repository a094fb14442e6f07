"""Satisfaction surveys: asked when an episode is closed, answered in the chat, over after a day."""

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from plixa.inbox.commands.editing import edit_live
from plixa.inbox.commands.messages import say
from plixa.inbox.domain.care import (
    ASKED_WHY,
    COMMENTED,
    RATED,
    SURVEY_WAITS,
    SurveyAsked,
    SurveyCommented,
    SurveyKept,
    SurveyRated,
)
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.queries.care import Csat, find_settings
from plixa.inbox.queries.surveys import find_agent, get_csat_config, is_left_alone, list_surveys_of
from plixa.kernel.editor import Editor
from plixa.kernel.event_store import Aggregate
from plixa.kernel.outbox import Effect
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.queries import PhoneNotConnected, refuse_disconnected
from plixa.workspace.commands.settings import alone, forget_settings, tell
from plixa.workspace.domain import local_date

ONCE_IN: Final = timedelta(hours=24)
"""A contact is asked at most once in this time."""
KEEP: Final = """INSERT INTO csat_config
(tenant_id, enabled, question, follow_up_enabled, follow_up_question, thank_you, visible_to_agents) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id) DO UPDATE SET enabled = $2, question = $3, follow_up_enabled = $4, follow_up_question = $5, thank_you = $6,
visible_to_agents = $7"""
REMEMBER: Final = """INSERT INTO contact_asked (tenant_id, contact_id, at)
SELECT tenant_id, $2::bigint, max(asked_at) FROM csat_response WHERE tenant_id = $1 AND conversation_id = $3 GROUP BY tenant_id
ON CONFLICT (tenant_id, contact_id) DO UPDATE SET at = greatest(contact_asked.at, excluded.at)"""

Said = Annotated[str, Meta(max_length=1000)]


class UpdateCsat(Struct, frozen=True):
    """All of it. A text that is null is said in our words, in the workspace's language; an empty thank-you is not said."""

    enabled: bool
    question: Said | None = None
    follow_up_enabled: bool = False
    follow_up_question: Said | None = None
    thank_you: Said | None = None
    visible_to_agents: bool = False


class Kept(Aggregate, frozen=True):
    """The stream in which what a survey came to outlives its conversation."""

    KIND = "survey"


async def update_csat_config(uow: UnitOfWork, data: UpdateCsat) -> None:
    """Another way to ask, from the next survey on."""
    await alone(uow)
    before = msgspec.structs.asdict(await get_csat_config(uow))
    after = msgspec.structs.asdict(data)
    if after == before:
        return
    await uow.execute(KEEP, *msgspec.structs.astuple(Csat(**after)))
    forget_settings(uow)
    await tell(uow, "csat_config.updated", before, after)


async def ask_survey(uow: UnitOfWork, editor: Editor[Conversation]) -> None:
    """An episode was closed by hand: ask how it was, whether it was answered here or not, who was not asked within a day.

    Nobody is asked of an episode in which neither they nor a human nor the AI wrote.
    """
    settings, state = await find_settings(uow), editor.state
    is_due = settings.csat.enabled and (state.care.asked or state.care.served) and not settings.is_silent
    if not is_due or state.blocked or state.contact_id is None:
        return
    try:
        await refuse_disconnected(uow, state.instance_id)
    except PhoneNotConnected:
        return
    await uow.begin(lock_of(f"{uow.tenant}/survey/{state.contact_id}"))
    if await is_left_alone(uow, state.contact_id, uow.now - ONCE_IN):
        return
    author = state.care.author
    agent = await find_agent(uow, state.assigned_user_id or (author.id if author else None))
    message = await say(uow, editor, settings.csat.question or settings.text("question"))
    asked = SurveyAsked(
        await uow.number("survey_number"),
        message,
        state.episode,
        local_date(uow.now, settings.timezone).isoformat(),
        uow.now + SURVEY_WAITS,
        settings.csat.follow_up_enabled,
        *agent,
    )
    editor.record(asked)
    expire_at(uow, editor, asked.survey_id, asked.expires_at)


async def answer_back(uow: UnitOfWork, editor: Editor[Conversation], answer: SurveyRated | SurveyCommented) -> str:
    """Thank for a rating or a comment, or ask what was bad."""
    settings = await find_settings(uow)
    csat = settings.csat
    if isinstance(answer, SurveyRated) and answer.comment_until is not None:
        await say(uow, editor, csat.follow_up_question or settings.text("follow_up"))
        expire_at(uow, editor, answer.survey_id, answer.comment_until)
        return ASKED_WHY
    thanks = settings.text("thank_you") if csat.thank_you is None else csat.thank_you
    if thanks.strip():
        await say(uow, editor, thanks)
    return RATED if isinstance(answer, SurveyRated) else COMMENTED


def expire_at(uow: UnitOfWork, editor: Editor[Conversation], survey: int, until: datetime) -> None:
    """A timer ends what was not answered."""
    payload = {"conversation_id": editor.state.number, "at": until}
    uow.enqueue(Effect("inbox.expire_survey", f"{survey}/{editor.version}", payload, until))


async def expire_survey(uow: UnitOfWork, conversation: int, moment: datetime) -> None:
    """The timer of a survey."""
    async with edit_live(uow, conversation) as editor:
        editor.record(editor.state.care.expire_survey(max(uow.now, moment)))


async def remember_asked(uow: UnitOfWork, conversation: int, contact: int | None) -> None:
    """A conversation is about to be deleted: when its contact was last asked stays theirs."""
    if contact is not None:
        await uow.execute(REMEMBER, contact, conversation)


async def keep_scores(uow: UnitOfWork, conversation: int) -> None:
    """Its conversation is about to be deleted or erased: what was asked and given stays, for reports."""
    for row in await list_surveys_of(uow, conversation):
        async with uow.create(Kept(number=row.id)) as editor:
            asked = (row.id, row.conversation_id, row.episode, row.day, row.asked_at)
            editor.record(SurveyKept(*asked, row.agent_id, row.agent_name, row.rating, row.rated_at, row.comment_message_id))
