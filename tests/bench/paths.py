"""The paths of the promise, each measured in alternating slices: the reference, ours, the reference, ours …"""

import asyncio
from collections.abc import Callable
from itertools import count

from msgspec import Struct

from plixa.kernel.errors import PlixaError
from tests.bench import bookings
from tests.bench.following import followed
from tests.bench.inprocess import Job, appends, housemates, neighbours, reference_appends
from tests.bench.load import CONNECTIONS, Exhausted, Plan, Result, drive
from tests.bench.report import Figure, Line, Target, ratio
from tests.bench.servers import Place, Web, plixa_web, reference_web, stopping
from tests.bench.traffic import Both, Known, inbound, listing, opening, replies, searches

OFFERED = 200.0
"""Webhooks a second in the open loop."""
PROVIDER_DAYS = 560
"""Slots of one provider's day, a second: ten times what is known of the best of its kind."""
STARTS = 5
ROUNDS = 4
"""In which every path is asked again, for its memory: what the first use of a path takes does not count as growing."""
ENOUGH = 4_000
"""Webhooks prepared for each second of a slice: nobody takes that many."""


ENOUGH_BOOKINGS = 1_000
"""And bookings: so many that a slice never comes to its end."""


class Effort(Struct, frozen=True):
    """How long is measured: slices of each path, and seconds of a slice."""

    slices: int = 5
    seconds: float = 2.0

    def shorter(self, share: float) -> "Effort":
        """Slices of a share of the length."""
        return Effort(self.slices, self.seconds * share)


class Refused(Exception):
    """Requests were answered with something else than 2xx."""


class Bench:
    """One seeded database with both web servers on it."""

    def __init__(self, known: Known, ours: Web, reference: Web, effort: Effort) -> None:
        self.known, self.ours, self.reference, self.effort = known, ours, reference, effort
        self.memory: list[float] = []
        self.times = bookings.free()
        self.serial = count(10_000_000)

    def ask(self, web: Web, requests: list[bytes], seconds: float, rate: float | None = None, connections: int = CONNECTIONS) -> Result:
        """One slice."""
        plan = Plan(port=web.port, requests=requests, seconds=seconds, connections=connections, rate=rate, again=rate is None)
        result = drive(plan)
        if result.failures or not result.statuses:
            raise Refused(f"{requests[0].splitlines()[0].decode()}: {result.statuses}")
        if web is self.ours:
            self.memory.append(web.memory())
        return result

    def compare(self, make: Callable[[], Both], effort: Effort) -> tuple[list[Result], list[Result]]:
        """Slices of ours and of the reference."""
        ours, theirs = [], []
        for _ in range(effort.slices):
            both = make()
            theirs.append(self.ask(self.reference, both.reference, effort.seconds))
            ours.append(self.ask(self.ours, both.ours, effort.seconds))
        return ours, theirs

    def lists(self) -> list[Line]:
        """Every view, deep pages, the search box."""
        lines: list[Line] = []
        for name, both in listing(self.known).items():
            lines += self._lines(f"list: {name}", 0.5, 50, self.compare(lambda both=both: both, self.effort.shorter(0.5)))  # type: ignore[misc]
        return lines

    def opened(self) -> list[Line]:
        """A conversation with its last 50 messages."""
        both = opening(self.known)
        return self._lines("open", 0.5, 50, self.compare(lambda: both, self.effort))

    def searched(self) -> list[Line]:
        """In all messages; nobody to compare with."""
        target, lines = Target("at most", 150), []
        for name, requests in searches(self.known).items():
            results = [self.ask(self.ours, requests, self.effort.seconds / 2) for _ in range(self.effort.slices)]
            rates = Figure([one.rate for one in results], "/s")
            slow = Figure([one.percentile(0.95) for one in results], "ms")
            lines.append(Line(f"search: {name}", "p95", slow, target, rates))
        return lines

    def slots(self, where: Place) -> list[Line]:
        """Thirty providers over thirty days with twenty thousand appointments, asked by one client at a time; and one provider's day."""
        asyncio.run(bookings.furnish(where.endpoints.database_url))
        seconds, many = self.effort.seconds, range(self.effort.slices)
        whole = [self.ask(self.ours, bookings.everybody(self.known), seconds, connections=1) for _ in many]
        days = [self.ask(self.ours, bookings.one_day(self.known), seconds) for _ in many]
        slow = Figure([one.percentile(0.95) for one in whole], "ms")
        return [
            Line("slots: 30 providers, 30 days", "p95", slow, Target("at most", 150), Figure([one.rate for one in whole], "/s")),
            Line("slots: a provider's day", "rate", Figure([one.rate for one in days], "/s"), Target("at least", PROVIDER_DAYS)),
        ]

    def booked(self, where: Place) -> list[Line]:
        """Appointments with thirty providers, each at a time of its own."""
        asyncio.run(bookings.furnish(where.endpoints.database_url))
        return self._lines("booking", 0.2, 80, self.compare(lambda: self._bookings(self.effort.seconds), self.effort))

    def replied(self) -> list[Line]:
        """An operator answers."""
        both = replies(self.known)
        return self._lines("reply", 0.25, 80, self.compare(lambda: both, self.effort))

    def received(self) -> list[Line]:
        """The gateway delivers: as fast as it can, then at a rate of its own."""
        seconds = self.effort.seconds

        def fresh() -> Both:
            return inbound(self.known, self.serial, int(ENOUGH * (seconds + 1)))

        ours, theirs = self.compare(fresh, self.effort)
        lines = [ratio("webhook", 0.25, [one.rate for one in ours], [one.rate for one in theirs])]
        offered = [
            self.ask(self.ours, inbound(self.known, self.serial, int(OFFERED * (seconds + 1))).ours, seconds, OFFERED)
            for _ in range(self.effort.slices)
        ]
        return [*lines, slowest("webhook at 200/s", 50, offered)]

    def appended(self, environ: dict[str, str], numbers: list[int]) -> list[Line]:
        """Without HTTP: every writer in a tenant of its own; and all in one, whose log is written by one after the other."""
        apart, together = Job(environ, self.effort.seconds, neighbours(environ)), Job(environ, self.effort.seconds, housemates(numbers))
        ours, shared, theirs = [], [], []
        for _ in range(self.effort.slices):
            theirs.append(reference_appends(apart))
            ours.append(appends(apart))
            shared.append(appends(together))
        return [
            ratio(f"append, {len(apart.shares)} tenants", 0.2, ours, theirs),
            ratio("append, all in one tenant", None, shared, theirs),
        ]

    def weighed(self, where: Place) -> list[Line]:
        """Memory of the web process: the most it held and, once everything was asked of it, how much it grows while it is asked again."""
        asyncio.run(bookings.furnish(where.endpoints.database_url))
        first, *others = [self._round(self.effort.seconds / 4) for _ in range(1 + ROUNDS)]
        return [
            Line("memory of the web process", "most", Figure([max(self.memory)], "MB"), Target("at most", 250)),
            Line("memory of the web process", "growth", Figure([(max(others) / first - 1) * 100], "%"), Target("at most", 5)),
        ]

    def _round(self, seconds: float) -> float:
        """A slice of every kind of path; the MB at its end."""
        lists, words = listing(self.known), searches(self.known)
        read = [lists["default"].ours, lists["q"].ours, opening(self.known).ours, words["two words"], bookings.everybody(self.known)]
        written = [
            self._bookings(seconds).ours,
            replies(self.known).ours,
            inbound(self.known, self.serial, int(ENOUGH * (seconds + 1))).ours,
        ]
        for requests in (*read, *written):
            self.ask(self.ours, requests, seconds)
        return self.memory[-1]

    def _bookings(self, seconds: float) -> Both:
        """Appointments at times that nobody has taken."""
        return bookings.booking(self.known, self.times, int(ENOUGH_BOOKINGS * (seconds + 1)))

    def _lines(self, path: str, share: float, limit: float, results: tuple[list[Result], list[Result]]) -> list[Line]:
        ours, theirs = results
        rates = ratio(path, share, [one.rate for one in ours], [one.rate for one in theirs])
        return [rates, slowest(path, limit, ours)]


def slowest(path: str, limit: float, results: list[Result]) -> Line:
    """The 99th percentile of each slice, in milliseconds."""
    return Line(path, "p99", Figure([one.percentile(0.99) for one in results], "ms"), Target("at most", limit))


def started(where: Place) -> list[Line]:
    """Seconds until a new web process is ready, the database there."""
    seconds = []
    for _ in range(STARTS):
        web = plixa_web(where)
        with stopping(web):
            seconds.append(web.seconds)
    return [Line("start", "ready after", Figure(seconds, "s"), Target("at most", 3))]


def measure(where: Place, known: Known, numbers: list[int], effort: Effort, only: frozenset[str]) -> list[Line]:
    """Every path, or those named."""
    lines = started(where) if wanted("start", only) else []
    ours = plixa_web(where)
    with stopping(ours):
        reference = reference_web(where)
        with stopping(reference):
            bench = Bench(known, ours, reference, effort)
            steps: dict[str, Callable[[], list[Line]]] = {
                "list": bench.lists,
                "open": bench.opened,
                "search": bench.searched,
                "slots": lambda: bench.slots(where),
                "booking": lambda: bench.booked(where),
                "reply": bench.replied,
                "webhook": bench.received,
                "append": lambda: bench.appended(where.environ, numbers),
                "following": lambda: followed(where, effort.slices),
                "memory": lambda: bench.weighed(where),
            }
            for name, step in steps.items():
                lines += attempt(name, step) if wanted(name, only) else []
    return lines


def attempt(name: str, step: Callable[[], list[Line]]) -> list[Line]:
    """The lines of one path; a path that answers wrongly is one line that is missed, and the others go on."""
    try:
        return step()
    except (Refused, Exhausted, PlixaError) as error:
        return [Line(name, f"refused: {str(error)[-160:]}", Figure([0.0]), Target("at least", 1))]


def wanted(name: str, only: frozenset[str]) -> bool:
    """Whether a path is to be measured."""
    return not only or name in only
