"""Around every request: its id, the caller's address, one log line, and the metrics of its route."""

import logging
import os
import re
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import perf_counter
from typing import Final

import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from plixa.kernel import metrics
from plixa.kernel.envelope import failure
from plixa.kernel.errors import Invalid, NotFound, PlixaError

Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
"""The address of a caller that comes through a socket file."""

_GIVEN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE: Final = "(none)"
_LONGEST_AGENT: Final = 255

access = logging.getLogger("plixa.access")


class CurrentRequest(msgspec.Struct):
    """The request being answered; authentication fills in tenant and actor for logs and events."""

    id: str
    address: str
    tenant: int | None = None
    actor: str | None = None
    agent: str | None = None
    """The caller's ``User-Agent``, its first 255 characters, for the audit trail."""


_current: ContextVar[CurrentRequest | None] = ContextVar("current_request", default=None)


def current_request() -> CurrentRequest | None:
    """The request this task answers; None in workers and at start-up."""
    return _current.get()


def current_request_id() -> str:
    """The id of the request being answered, empty outside of one."""
    request = _current.get()
    return request.id if request is not None else ""


def caller_network() -> str:
    """Whose tries count together: an IPv4 address, or the /64 of an IPv6 one."""
    request = _current.get()
    address = _parsed(request.address) if request is not None else None
    if address is None:  # a socket file has no address
        return UNKNOWN
    mapped = address if isinstance(address, IPv4Address) else address.ipv4_mapped
    return str(mapped or ip_network((int(address), 64), strict=False))


def watch_requests(app: Litestar, trusted: tuple[Network, ...] = ()) -> Litestar:
    """Puts the watch around everything Litestar answers, its own 404s and 405s too.

    ``trusted``: networks of proxies whose ``X-Forwarded-For`` is believed.
    """
    app.asgi_handler = RequestWatch(app.asgi_handler, trusted)
    return app


class RequestWatch:
    """ASGI middleware; nothing of a body, a query or a header is ever logged but the request id."""

    __slots__ = ("app", "trusted")

    def __init__(self, app: ASGIApp, trusted: tuple[Network, ...]) -> None:
        self.app = app
        self.trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Every response carries ``X-Request-Id``; a request with a NUL character in its address ends here."""
        started = perf_counter()
        status = 499  # the caller left before an answer
        request = self._identify(scope)
        header = (b"x-request-id", request.id.encode())

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        token = _current.set(request)
        metrics.REQUESTS_RUNNING.inc()
        try:
            if refused := _unspeakable(scope):
                await _refuse(refused, named)
            else:
                await self.app(scope, receive, named)
        finally:
            metrics.REQUESTS_RUNNING.dec()
            if scope["type"] == ScopeType.HTTP:
                _record(scope, status, perf_counter() - started)
            _current.reset(token)

    def _identify(self, scope: Scope) -> CurrentRequest:
        given = forwarded = agent = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value
            elif name == b"x-forwarded-for":
                forwarded = forwarded + b"," + value if forwarded else value
            elif name == b"user-agent":
                agent = value
        peer = scope["client"][0] if scope.get("client") else UNKNOWN  # type: ignore[index]
        address = client_address(peer, forwarded.decode("latin-1"), self.trusted) if self.trusted else peer
        number = given.decode() if _GIVEN_ID.fullmatch(given) else os.urandom(12).hex()
        return CurrentRequest(number, address, agent=agent.decode("latin-1")[:_LONGEST_AGENT] or None)


def client_address(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not one of our own proxies: ``forwarded`` is read from its right end."""
    address = peer
    for hop in reversed(forwarded.split(",")) if forwarded else ():
        if not is_within(address, trusted) or _parsed(hop.strip()) is None:
            break
        address = hop.strip()
    return address


@lru_cache(maxsize=1024)
def is_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address lies in one of the networks; False for what is no address."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _unspeakable(scope: Scope) -> PlixaError | None:
    """PostgreSQL has no NUL character: no path with one exists, no filter with one can match."""
    if "\0" in scope["path"]:
        return NotFound()
    if b"%00" in scope["query_string"]:
        return Invalid.field("query", "Must not contain the NUL character.")
    return None


async def _refuse(error: PlixaError, send: Send) -> None:
    body = msgspec.json.encode(failure(error))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start: HTTPResponseStartEvent = {"type": "http.response.start", "status": error.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("path_template") or _NO_ROUTE
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"  # type: ignore[typeddict-item]
    count, duration = _series(method, route, status)
    count.inc()
    duration.observe(seconds)
    if access.isEnabledFor(logging.INFO):
        line = logging.LogRecord(access.name, logging.INFO, __file__, 0, "request", (), None)  # without a walk up the stack
        line.fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
        access.handle(line)


_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@lru_cache(maxsize=8192)
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return metrics.REQUESTS.labels(method, route, str(status)), metrics.REQUEST_SECONDS.labels(method, route)
