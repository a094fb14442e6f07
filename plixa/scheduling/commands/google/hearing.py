"""Google tells that something changed in a calendar: not what, so that it is read."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from hmac import compare_digest
from typing import Final

from plixa.kernel.auth import hashed
from plixa.kernel.errors import NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.google.linking import READ
from plixa.scheduling.queries.google import find_channel

TOGETHER: Final = 5
"""Seconds in which any number of news is one reading."""
LONGEST: Final = 256
BEGINNING: Final = "sync"


async def hear(kernel: Kernel, headers: Mapping[str, str]) -> None:
    """Have the calendar of a channel read in a moment; raises NotFound for a channel that is none, or says another secret."""
    number, secret = (headers.get(f"x-goog-channel-{part}", "")[:LONGEST] for part in ("id", "token"))
    known = await find_channel(kernel.system, number)
    if not compare_digest(known[2] if known else bytes(32), hashed(secret)) or known is None:
        raise NotFound
    if headers.get("x-goog-resource-state") != BEGINNING:
        async with working(kernel, known[0], request_id=current_request_id()) as uow:
            await perform(uow, partial(ask_reading, uow, known[1]))


async def ask_reading(uow: UnitOfWork, link: int) -> None:
    """At the end of the present few seconds: whatever is told until then is in what will be read."""
    begun = int(uow.now.timestamp()) // TOGETHER
    due_at = datetime.fromtimestamp((begun + 1) * TOGETHER, uow.now.tzinfo)
    uow.enqueue(Effect(READ, f"{link}/told/{begun}", {"link_id": link, "once": True}, due_at=due_at))
