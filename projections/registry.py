"""Every read model. INLINE ones are written with the command that made the event; ASYNC ones follow the log."""

from typing import Any

from plixa.kernel.projection import Projection
from projections.activity import activity, waits
from projections.audit import audit
from projections.inbox import inbox
from projections.messages import messages
from projections.search import names, texts
from projections.surveys import surveys

INLINE: tuple[Projection[Any], ...] = (inbox, messages, names, texts, surveys)
ASYNC: tuple[Projection[Any], ...] = (audit, activity, waits)

BY_NAME: dict[str, tuple[Projection[Any], ...]] = {
    "inbox": (inbox, messages, names, texts),
    "surveys": (surveys,),
    "audit": (audit,),
    "activity": (activity, waits),
}
"""What ``plixa rebuild NAME`` rebuilds together."""
