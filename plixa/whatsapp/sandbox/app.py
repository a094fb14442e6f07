"""The sandbox gateway as an application: Evolution API v2's HTTP and webhooks, with nobody behind it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from litestar import Litestar, Router, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from plixa.whatsapp.sandbox import chats, customers, instances
from plixa.whatsapp.sandbox.gate import Fault, Faults, Refusal, crashed, key_guard, refused, unknown_route
from plixa.whatsapp.sandbox.store import Json
from plixa.whatsapp.sandbox.world import Timing, Version, World

LARGEST_BODY: Final = 136 * 1024 * 1024


def create_sandbox(
    home: Path, api_key: str, *, timing: Timing | None = None, version: Version = "2.3.7", seed: int | None = None
) -> Litestar:
    """The gateway of one home folder. ``version`` 2.4.0 keeps our message ids; ``seed`` makes its own repeatable."""
    faults: list[Fault] = []

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncGenerator[None, None]:
        world = app.state.world = World(home, timing or Timing(), version, seed)
        world.start()
        yield
        await world.stop()

    guarded = [*instances.ROUTES, *chats.ROUTES, *customers.ROUTES]
    return Litestar(
        route_handlers=[welcome, *instances.OPEN_ROUTES, Router("/", route_handlers=guarded, guards=[key_guard])],
        lifespan=[running],
        middleware=[Faults],
        exception_handlers={Refusal: refused, HTTPException: unknown_route, Exception: crashed},
        state=State({"api_key": api_key, "version": version, "faults": faults}),
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
    )


@get("/")
async def welcome(state: State) -> Json:
    """Open to all, as the real one's: the way to see that it runs and what it is."""
    return {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": state.version}
