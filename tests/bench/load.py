"""The client: raw HTTP/1.1 over kept-alive connections from a process of its own, loopback only.

Closed loop: every connection asks again as soon as it was answered. Open loop: requests leave at a fixed rate whatever
happens, and the time one waits for a free connection counts as its own.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

END = b"\r\n\r\n"
LENGTH = b"content-length:"
CONNECTIONS = 16


class Plan(Struct, frozen=True, kw_only=True):
    """What to ask. ``requests`` are taken in order, over and over where ``again``, each whole as it goes over the wire.

    ``rate`` requests a second for the open loop; None is the closed loop. The first ``warm`` seconds are not counted.
    """

    port: int
    requests: list[bytes]
    seconds: float
    connections: int = CONNECTIONS
    rate: float | None = None
    warm: float = 0.2
    again: bool = True


class Result(Struct, frozen=True):
    """How it went: ``done`` good answers within the time; latencies in milliseconds, ascending, of what was asked within it."""

    seconds: float
    done: int
    latencies: list[float]
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.done / self.seconds

    @property
    def failures(self) -> int:
        """Answers other than 2xx."""
        return sum(number for status, number in self.statuses.items() if status // 100 != 2)

    def percentile(self, share: float) -> float:
        """In milliseconds; 0 where there is none."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))] if self.latencies else 0.0


class Exhausted(Exception):
    """The server went away, or the requests did not suffice."""


class Link(asyncio.Protocol):
    """One connection: a request goes out, ``done`` hears the status once the whole answer is in."""

    def __init__(self, done: "Callable[[Link, int], None]") -> None:
        self.done = done
        self.started = 0.0
        self.busy = False
        self.lost = False
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed."""
        self.lost = True

    def ask(self, request: bytes, started: float) -> None:
        """Send a request; ``started`` is when its clock began."""
        self.started, self.busy = started, True
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Part of an answer, or all of it."""
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(END)
        if end < 0 or len(buffer) < end + 4 + length_of(buffer[:end]):
            self._buffer = buffer
            return
        self._buffer, self.busy = b"", False
        self.done(self, int(buffer[9:12]))


def length_of(head: bytes) -> int:
    """The length of the body the head announces."""
    lower = head.lower()
    place = lower.find(LENGTH)
    return 0 if place < 0 else int(lower[place + len(LENGTH) :].split(b"\r\n", 1)[0])


class Drive:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.done = 0
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.requests = self._requests()
        self.waiting: deque[float] = deque()
        self.begin = self.end = 0.0

    def _requests(self) -> Iterator[bytes]:
        while True:
            yield from self.plan.requests
            if not self.plan.again:
                return

    async def run(self) -> Result:
        """Connect, ask, wait for the last answers."""
        loop = asyncio.get_running_loop()
        done = self._closed if self.plan.rate is None else self._open
        links: list[Link] = []
        for _ in range(self.plan.connections):
            _, link = await loop.create_connection(lambda: Link(done), "127.0.0.1", self.plan.port)
            links.append(link)
        self.begin = time.perf_counter() + self.plan.warm
        self.end = self.begin + self.plan.seconds
        if self.plan.rate is None:
            for link in links:
                self._next(link)
            await asyncio.sleep(self.end - time.perf_counter())
        else:
            await self._offer(links, self.plan.rate)
        await self._drain(links)
        return Result(self.plan.seconds, self.done, sorted(self.latencies), dict(self.statuses))

    def _count(self, link: Link, status: int) -> float:
        moment = time.perf_counter()
        self.statuses[status] += 1
        if status // 100 == 2:
            self.done += self.begin <= moment <= self.end
            if self.begin <= link.started:
                self.latencies.append((moment - link.started) * 1000)
        return moment

    def _closed(self, link: Link, status: int) -> None:
        if self._count(link, status) < self.end:
            self._next(link)

    def _next(self, link: Link) -> None:
        request = next(self.requests, None)
        if request is not None:
            link.ask(request, time.perf_counter())

    def _open(self, link: Link, status: int) -> None:
        self._count(link, status)
        if self.waiting:
            link.ask(next(self.requests), self.waiting.popleft())

    async def _offer(self, links: list[Link], rate: float) -> None:
        """Request ``n`` leaves at ``n / rate`` seconds, or as soon after as a connection is free."""
        start = time.perf_counter()
        for number in count():
            due = start + number / rate
            if due >= self.end:
                return
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            free = next((link for link in links if not link.busy), None)
            if free is None:
                self.waiting.append(due)
            else:
                free.ask(next(self.requests), due)

    async def _drain(self, links: list[Link]) -> None:
        deadline = time.perf_counter() + 10
        while (self.waiting or any(link.busy for link in links)) and time.perf_counter() < deadline:
            if any(link.lost for link in links):
                raise Exhausted("The server closed a connection.")
            await asyncio.sleep(0.005)
        for link in links:
            link.close()


def request(method: str, path: str, *, token: str | None = None, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join(lines).encode() + END + body


def drive(plan: Plan) -> Result:
    """Run a plan in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "tests.bench.load"], input=msgspec.msgpack.encode(plan), capture_output=True, check=False)
    if done.returncode != 0:
        raise Exhausted(done.stderr.decode()[-2000:])
    return msgspec.msgpack.decode(done.stdout, type=Result)


def main() -> None:
    """A plan on standard input, its result on standard output."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(Drive(plan).run())))


if __name__ == "__main__":
    main()
