"""What an operator's tools ask: is the process alive, is it ready, what are its figures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.handlers import HTTPRouteHandler

from plixa.kernel import metrics
from plixa.kernel.envelope import Data, failure, headers_of
from plixa.kernel.errors import NotFound, Unavailable
from plixa.kernel.requests import Network, is_within

Check = Callable[[], Awaitable[str | None]]
"""None when all is well, else a sentence for the operator; what it raises counts as not ready, by its class's name."""

Refresh = Callable[[], Awaitable[None]]
"""Sets gauges that are only known by asking (lag, ages, depths), before they are shown."""

CHECK_SECONDS: Final = 2.0

NEARBY: Final[tuple[Network, ...]] = tuple(
    ip_network(each) for each in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
)


def create_probes(checks: Mapping[str, Check], refresh: Sequence[Refresh] = (), scrapers: tuple[Network, ...] = NEARBY) -> Router:
    """``/health`` and ``/ready`` for everybody, ``/metrics`` only straight from a network of ``scrapers``."""
    handlers = [health, _ready(checks), _metrics(refresh, scrapers)]
    return Router("/", route_handlers=handlers, include_in_schema=False)


@get("/health", sync_to_thread=False)
def health() -> Data[dict[str, str]]:
    """The process answers; nothing else is asked."""
    return Data({"status": "ok"})


def _ready(checks: Mapping[str, Check]) -> HTTPRouteHandler:
    @get("/ready")
    async def ready() -> Response[Any]:
        """200 when every check passes, else 503 with what is wrong."""
        found = await asyncio.gather(*(_ask(check) for check in checks.values()))
        wrong = {name: [result] for name, result in zip(checks, found, strict=True) if result}
        if wrong:
            error = Unavailable("Not ready.", details=wrong)
            return Response(failure(error), status_code=error.status, headers=headers_of(error))
        return Response(Data({"status": "ready", "checks": dict.fromkeys(checks, "ok")}))

    return ready


async def _ask(check: Check) -> str | None:
    """Any way in which a check fails means the same: not ready."""
    [result] = await asyncio.gather(asyncio.wait_for(check(), CHECK_SECONDS), return_exceptions=True)
    return type(result).__name__ if isinstance(result, BaseException) else result


def _metrics(refresh: Sequence[Refresh], scrapers: tuple[Network, ...]) -> HTTPRouteHandler:
    @get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8")
    async def figures(request: Request[Any, Any, Any]) -> bytes:
        """Prometheus' text format; hidden from whoever comes through a proxy."""
        if "x-forwarded-for" in request.headers or not is_within(request.client.host if request.client else "", scrapers):
            raise NotFound
        for each in refresh:
            await each()
        return metrics.exposition()

    return figures
