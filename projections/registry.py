"""Every read model. INLINE ones are written with the command that made the event; ASYNC ones follow the log."""

from typing import Any

from plixa.kernel.projection import Projection
from projections.activity import activity, waits
from projections.audit import audit
from projections.calendar import calendar
from projections.inbox import inbox
from projections.messages import messages
from projections.search import names, texts
from projections.surveys import surveys
from projections.tickets import ticket_messages, ticket_texts, tickets
from projections.usage import files, last

INLINE: tuple[Projection[Any], ...] = (inbox, messages, names, texts, surveys, calendar, tickets, ticket_messages, ticket_texts)
ASYNC: tuple[Projection[Any], ...] = (audit, activity, waits, files, last)

BY_NAME: dict[str, tuple[Projection[Any], ...]] = {
    "inbox": (inbox, messages, names, texts),
    "surveys": (surveys,),
    "calendar": (calendar,),
    "tickets": (tickets, ticket_messages, ticket_texts),
    "audit": (audit,),
    "activity": (activity, waits),
    "usage": (activity, files, last),
}
"""What ``plixa rebuild NAME`` rebuilds together."""
