"""What happened, and how it was: a conversation's stream decoded, and its views folded up to an instant."""

from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from plixa.inbox.domain.care import ASKED_WHY, COMMENTED, RATED, SurveyRated
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Absorbed, Received
from plixa.inbox.queries.care import list_withheld, may_see_scores
from plixa.inbox.queries.conversations import ConversationView, refuse_hidden, view_row
from plixa.inbox.queries.messages import MessageView, QuotedView, Span, refuse_hidden_conversation, row_view, withhold
from plixa.kernel.auth import Principal
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Recorded, stream_id
from plixa.kernel.history import EventView, list_history, open_log
from plixa.kernel.paging import Paging
from plixa.kernel.projection import Rows
from plixa.kernel.uow import UnitOfWork
from projections.inbox import inbox
from projections.messages import MessageRow, messages

ANSWERED: Final = "answered"
TELLING: Final = frozenset({RATED, ASKED_WHY, COMMENTED})
"""What the pipeline says of an answer, which lets guess whether it was a low rating."""


async def list_events(uow: UnitOfWork, number: int, paging: Paging) -> tuple[list[EventView], Page]:
    """A conversation's stream, newest first."""
    await refuse_hidden_conversation(uow, number)
    views, page = await list_history(uow, stream_id(Conversation.KIND, number), paging)
    shows = await may_see_scores(uow)
    hidden = await list_withheld(uow, {view.data["message_id"] for view in views if "message_id" in view.data})
    return [without_words(without_score(view, uow.principal, shows), hidden) for view in views], page


def without_score(view: EventView, viewer: Principal | None, shows: bool) -> EventView:
    """An event without the rating an agent may not see, nor what follows from a low one; ``shows``: they may see their own."""
    if viewer is None or viewer.role == "owner":
        return view
    if view.type == SurveyRated.TOPIC and not (shows and view.data.get("agent_id") == viewer.user_id):
        return replace(view, data=view.data | {"rating": None, "comment_until": None})
    if view.type == Received.TOPIC and view.data.get("handling"):
        told = [[step, ANSWERED if reason in TELLING else reason] for step, reason in view.data["handling"]]
        return replace(view, data=view.data | {"handling": told})
    return view


def without_words(view: EventView, hidden: frozenset[int]) -> EventView:
    """An event without what a message says that tells a score."""
    if view.data.get("message_id") not in hidden:
        return view
    words: dict[str, Any] = {"content": {"type": "text", "body": None}, "body": None}
    return replace(view, data=view.data | {name: value for name, value in words.items() if name in view.data})


async def get_conversation_as_of(uow: UnitOfWork, number: int, moment: datetime) -> ConversationView:
    """The conversation as it was; raises NotFound before its first event."""
    await refuse_hidden_conversation(uow, number)
    rows = Rows(inbox)
    for fact in await facts_until(uow, number, moment):
        rows.fold(fact)
    row = rows.now.get(number)
    if row is None:
        raise NotFound
    refuse_hidden(uow, row.assigned_user_id)
    return await view_row(uow, row, moment)


async def list_messages_as_of(uow: UnitOfWork, number: int, moment: datetime, span: Span) -> tuple[list[MessageView], Page]:
    """The messages as they were, newest first."""
    await refuse_hidden_conversation(uow, number)
    facts = await facts_until(uow, number, moment)
    if not facts:
        raise NotFound
    for event in [fact.event for fact in facts if isinstance(fact.event, Absorbed)]:
        for absorbed in (event.conversation_id, *event.earlier):
            facts += await facts_until(uow, absorbed, moment)
    rows = Rows(messages)
    for fact in sorted(facts, key=lambda one: one.position):
        rows.fold(fact)
    thread = sorted((row for row in rows.now.values() if row is not None), key=place_of, reverse=True)
    part, page = part_of(thread, span)
    return await withhold(uow, [row_view(row, quoted_by(row, thread)) for row in part]), page


def part_of(thread: list[MessageRow], span: Span) -> tuple[list[MessageRow], Page]:
    """The wanted part of a thread that is at hand, newest first, as ``list_messages`` reads it."""
    if span.after is not None:
        edge = edge_in(thread, span.after)
        return [row for row in thread if place_of(row) > edge][-span.limit :], Page(None, span.limit)
    if span.before is not None or span.cursor is not None:
        edge = edge_in(thread, span.before) if span.before is not None else decode(span.cursor or "", (datetime, int))
        thread = [row for row in thread if place_of(row) < edge]
    shown = thread[: span.limit]
    return shown, Page(encode(place_of(shown[-1])) if len(thread) > span.limit else None, span.limit)


def place_of(row: MessageRow) -> tuple[datetime, int]:
    """By what a thread is sorted."""
    return row.sent_at, row.id


def edge_in(thread: list[MessageRow], message: int) -> tuple[datetime, int]:
    """A message's place in a thread; raises NotFound."""
    for row in thread:
        if row.id == message:
            return place_of(row)
    raise NotFound


async def facts_until(uow: UnitOfWork, number: int, moment: datetime) -> list[Recorded]:
    """A conversation's events up to and including an instant."""
    return await (await open_log(uow)).stream(stream_id(Conversation.KIND, number), moment)


def quoted_by(row: MessageRow, thread: list[MessageRow]) -> QuotedView | None:
    """The message another one answers, as it was."""
    for other in thread if row.quoted_id or row.quoted_gateway_id else ():
        if other.id == row.quoted_id or (row.quoted_gateway_id is not None and other.gateway_id == row.quoted_gateway_id):
            return QuotedView(other.id, other.body, other.type)
    return None
