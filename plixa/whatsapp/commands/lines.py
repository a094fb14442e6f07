"""Waiting in line: what comes while a workspace's webhooks are being applied waits, and is then applied together.

As a database commits in groups: whoever finds nothing in the way begins at once, and the more there is to do, the less each one costs.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Final

from msgspec import Struct

from plixa.kernel.errors import Unavailable

PACE: Final = 0.05
"""Seconds: what takes longer, because somebody else holds what it needs, goes on beside the others."""
ABREAST: Final = 3
"""As many transactions of one workspace go on at once in one process: while the database works at some, another is prepared."""
ENOUGH: Final = 3
"""So many must wait before one begins beside another: fewer share the next that begins."""
LANES: Final = 4
"""As many go on at once, if some take that long."""
TOGETHER: Final = 16
"""As many deliveries share a transaction at most."""


class Waiting(Struct, eq=False):
    """A delivery in line. What it ``claims`` nobody else may work on; ``alone``: it shares no transaction."""

    delivery: Any
    claims: frozenset[str]
    alone: bool
    done: "asyncio.Future[None]"

    def end(self, error: BaseException | None = None) -> None:
        """Tell who waits for it, unless they have left."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


Work = Callable[[list[Waiting]], Coroutine[Any, Any, None]]
"""Applies deliveries that claim nothing in common. Those it has not ended by itself end as it does."""


class Line:
    """The deliveries of one workspace, in the order of their arrival."""

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self._claimed: set[str] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._quick: set[asyncio.Task[None]] = set()

    async def stand(self, one: Waiting, work: Work) -> None:
        """Wait until it has been applied; raises what kept it from being."""
        self.waiting.append(one)
        asyncio.get_running_loop().call_soon(self.proceed, work)  # what comes in the same moment goes with it
        await one.done

    def proceed(self, work: Work) -> None:
        """Begin what can be begun. It belongs to no request: one that is given up does not end it for the others."""
        while self._may_begin() and (group := self._next()):
            self._claimed.update(*(one.claims for one in group))
            task = asyncio.create_task(work(group), context=Context())
            self._working.add(task)
            self._quick.add(task)
            task.add_done_callback(partial(self._end, group, work))
            asyncio.get_running_loop().call_later(PACE, self._pass_by, task, work)

    def _may_begin(self) -> bool:
        is_room = len(self._quick) < ABREAST and len(self._working) < LANES
        return is_room and (not self._quick or len(self.waiting) >= ENOUGH)

    def _end(self, group: list[Waiting], work: Work, task: "asyncio.Task[None]") -> None:
        self._working.discard(task)
        self._claimed.difference_update(*(one.claims for one in group))
        for one in group:
            one.end(Unavailable() if task.cancelled() else task.exception())
        self._quick.discard(task)
        self.proceed(work)

    def _pass_by(self, task: "asyncio.Task[None]", work: Work) -> None:
        """Others need no longer wait for it."""
        if task in self._quick:
            self._quick.discard(task)
            self.proceed(work)

    def _next(self) -> list[Waiting]:
        """The first that nothing before it stands in the way of, and those that may go with it."""
        group: list[Waiting] = []
        taken, passed = set(self._claimed), list[Waiting]()
        while self.waiting and len(group) < TOGETHER:
            one = self.waiting.popleft()
            if one.done.done():
                continue
            free = taken.isdisjoint(one.claims) and not (one.alone and group)
            taken |= one.claims
            (group if free else passed).append(one)
            if free and one.alone:
                break
        self.waiting.extendleft(reversed(passed))
        return group
