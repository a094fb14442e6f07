"""Server-sent events: a tenant's log as a stream that loses and repeats nothing, however often the connection breaks.

An event's id is its position in the log. Whoever reconnects with ``Last-Event-ID`` goes on behind it; anybody else at
the present head, and is told where that is. No database connection is held while nothing happens.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from litestar.response import Stream
from msgspec import Struct

from plixa.kernel.auth import Principal
from plixa.kernel.envelope import refusal
from plixa.kernel.errors import Unavailable
from plixa.kernel.event_store import Recorded
from plixa.kernel.log import Batch, reading
from plixa.kernel.uow import Kernel
from plixa.kernel.wake import Listener

log = logging.getLogger(__name__)

BATCH = 256
"""Events read at once, and so what a slow client can make us hold."""
EARLIEST = 0.001
"""Seconds: timers may ring a moment before their time, and whoever then waited the whole time again would look half as often."""
RETRY = 1_000
"""Milliseconds a client waits before it reconnects."""


class Change(Struct, frozen=True):
    """What one event means to one member: ``event`` names it, ``data`` is JSON on one line.

    Several changes of one position follow each other; its id goes with the last.
    """

    position: int
    event: str
    data: bytes


class Pace(Struct, frozen=True):
    """Seconds: between two polls where no wake-up comes, between two looks at the token, between two signs of life."""

    poll: float = 5.0
    check: float = 0.3
    heartbeat: float = 15.0


Render = Callable[[list[Recorded]], Awaitable[list[Change]]]
"""What of a batch the member may see, in the order of the log."""
Alive = Callable[[], Awaitable[bool]]
"""May the stream go on? False once the token is revoked or the workspace suspended."""


Beside = Callable[[int], Awaitable[list[Change]]]
"""What is shown besides the log, told the position that was read up to; asked whenever there may be news."""
Renderer = Callable[[Kernel, Principal, list[Recorded]], Awaitable[list[Change]]]
"""What one module shows one member of a batch."""


def seen_by(principal: Principal, kernel: Kernel, renderers: Sequence[Renderer]) -> Render:
    """What all modules show a member, in the order of the log."""

    async def render(facts: list[Recorded]) -> list[Change]:
        changes = [change for renderer in renderers for change in await renderer(kernel, principal, facts)]
        return sorted(changes, key=lambda change: change.position)

    return render


class Feed:
    """The streams of one process."""

    def __init__(self, kernel: Kernel, listener: Listener, pace: Pace | None = None) -> None:
        self.kernel, self.listener, self.pace = kernel, listener, pace or Pace()
        self.closed = False

    def close(self) -> None:
        """End every stream within ``pace.check``: the process is about to stop, and its server waits for open requests."""
        self.closed = True

    async def follow(
        self, tenant: int, after: str | None, render: Render, alive: Alive, beside: Beside | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The stream behind ``after``, a ``Last-Event-ID``, until ``alive`` answers False or the reader leaves.

        While the database is away it falls silent and goes on when it is back.
        """
        follower = Follower(self, tenant, render, alive, beside)
        while not follower.ended:
            try:
                async with aclosing(follower.chunks(after)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except Exception as error:
                if not isinstance(refusal(error), Unavailable):
                    raise
                log.warning("A stream waits for the database: %r", error)
                await asyncio.sleep(self.pace.check)


class Follower:
    """One stream: how far the log was read, what the client knows of it, and when was what last done."""

    def __init__(self, feed: Feed, tenant: int, render: Render, alive: Alive, beside: Beside | None = None) -> None:
        self._feed, self._tenant, self._render, self._alive, self._beside = feed, tenant, render, alive, beside
        self._position: int | None = None
        self._told = -1
        self._spoke = self._checked = float("-inf")
        self.ended = False

    async def chunks(self, after: str | None) -> AsyncGenerator[bytes, None]:
        """Changes as they happen, with signs of life in between."""
        pace, listener = self._feed.pace, self._feed.listener
        if self._position is None and await self._admitted():
            self._position = await self._start(after)
            yield self._tell(b"retry: %d\n" % RETRY)
        while await self._admitted():
            # Listening begins before reading: what is committed in between still rouses us.
            news = asyncio.create_task(listener.wait(self._tenant, pace.poll))
            try:
                more = True
                while more and await self._admitted():
                    chunk, more = await self._read()
                    if chunk:
                        yield chunk
                while not news.done() and await self._admitted():
                    if time.monotonic() - self._spoke >= pace.heartbeat:
                        yield self._tell(b":\n")
                    await asyncio.wait((news,), timeout=max(self._checked + pace.check - time.monotonic(), EARLIEST))
            finally:
                news.cancel()

    async def _admitted(self) -> bool:
        """Ask again whenever the last answer is too old to rely on."""
        self.ended = self.ended or self._feed.closed
        if not self.ended and time.monotonic() - self._checked >= self._feed.pace.check:
            self.ended = not await self._alive()
            self._checked = time.monotonic()
        return not self.ended

    async def _start(self, after: str | None) -> int:
        """Behind what the client has; at the head where it has nothing, or what cannot be from this log."""
        async with reading(self._feed.kernel, self._tenant) as tenant_log:
            head = await tenant_log.head()
        known = int(after) if after and len(after) <= 18 and after.isascii() and after.isdigit() else head
        return min(known, head)

    async def _read(self) -> tuple[bytes, bool]:
        """The next changes as one chunk, and whether there is more to read at once."""
        async with reading(self._feed.kernel, self._tenant) as tenant_log:
            batch: Batch = await tenant_log.read(self._position or 0, BATCH)
        changes = await self._render(batch.facts) if batch.facts else []
        if self._beside is not None:
            changes = [*changes, *await self._beside(batch.through)]
        self._position = batch.through
        if changes:
            self._told, self._spoke = changes[-1].position, time.monotonic()
        return frames(changes), batch.full

    def _tell(self, line: bytes) -> bytes:
        """A line and, where it moved unseen, how far the log was read, so that a reconnect does not read it again."""
        self._spoke = time.monotonic()
        if self._position is None or self._position == self._told:
            return line + b"\n"
        self._told = self._position
        return b"%sid: %d\n\n" % (line, self._position)


def frames(changes: list[Change]) -> bytes:
    """The changes as the client reads them."""
    parts: list[bytes] = []
    for change, following in zip(changes, [*changes[1:], None], strict=False):
        if following is None or following.position != change.position:
            parts.append(b"id: %d\n" % change.position)
        parts.append(b"event: %s\ndata: %s\n\n" % (change.event.encode(), change.data))
    return b"".join(parts)


def event_stream(chunks: AsyncGenerator[bytes, None]) -> Stream:
    """The answer that carries a stream; nothing on the way may keep or hold it back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(chunks, media_type="text/event-stream", headers=headers)
