"""Applications under test, and a client that talks to them inside this process and event loop."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from httpx import ASGITransport, AsyncClient
from litestar import Litestar, Router
from litestar.di import Provide

from plixa.api import DEPENDENCIES, provide_entrance
from plixa.identity.commands.sessions import Entrance
from plixa.identity.queries.tokens import find_principal
from plixa.kernel.auth import Gatekeeper
from plixa.kernel.bodies import JsonRequest
from plixa.kernel.envelope import answer_error
from plixa.kernel.guard import enforce_access, note_denial
from plixa.kernel.http import refuse_undeclared
from plixa.kernel.requests import watch_requests


def make_app(entrance: Entrance, *controllers: Any) -> Litestar:
    """An application of the given controllers under ``/v1``, on the tests' own kernel."""
    dependencies = DEPENDENCIES | {"entrance": Provide(provide_entrance, sync_to_thread=False)}
    guards = [enforce_access]
    router = Router("/v1", route_handlers=controllers, guards=guards, dependencies=dependencies)
    failures: dict[str, Any] = {"exception_handlers": {Exception: answer_error}, "after_exception": [note_denial]}
    app = Litestar([router], request_class=JsonRequest, openapi_config=None, **failures)
    app.state.kernel, app.state.settings = entrance.kernel, entrance.settings
    app.state.passwords, app.state.throttler = entrance.passwords, entrance.throttler
    app.state.gatekeeper = Gatekeeper(find_principal(entrance.kernel.system, entrance.settings))
    refuse_undeclared(app)
    return watch_requests(app)


@asynccontextmanager
async def started(app: Litestar) -> AsyncIterator[Litestar]:
    """The application between its start and its end, both in one task, as servers do it."""
    ready, done = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            ready.set()
            await done.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if life.done():
            await life
        yield app
    finally:
        waiting.cancel()
        done.set()
        await life


@asynccontextmanager
async def calling(app: Litestar) -> AsyncIterator[AsyncClient]:
    """A client of the application. It buffers: streams that never end need a server of their own."""
    async with AsyncClient(transport=ASGITransport(cast("Any", app)), base_url="http://plixa.test") as client:
        yield client


@asynccontextmanager
async def cancelled_after(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something run beside a block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
