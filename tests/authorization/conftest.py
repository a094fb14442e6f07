"""The application on a database of its own, so that whatever changes was changed here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from plixa.app import create_app
from plixa.identity.commands.sessions import Entrance
from plixa.kernel.settings import Settings
from plixa.whatsapp.client import EvolutionGateway
from tests.authorization.stage import OTHER_PLAN, Scene, Stage, set_stage
from tests.support.apps import calling, started
from tests.whatsapp.loopback import KEY, sandbox

SetStage = Callable[[str], Awaitable[Stage]]


@asynccontextmanager
async def setting(settings: Settings, url: str) -> AsyncIterator[Scene]:
    """An application on the database at ``url``."""
    other = {OTHER_PLAN: replace(settings.plans["business"], features=frozenset())}
    keys = {"google_client_id": "a client", "google_client_secret": "a secret"}
    mine = replace(settings, database_url=url, plans=settings.plans | other, **keys)
    async with started(create_app(mine)) as app, calling(app) as client:
        state = app.state
        yield Scene(app, client, Entrance(state.kernel, mine, state.passwords, state.throttler))


@pytest.fixture(scope="package")
async def scene(
    settings: Settings, fresh_databases: Callable[[], Awaitable[str]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """The application of these tests, with a sandbox gateway that has no number."""
    home: Path = tmp_path_factory.mktemp("gateway")
    with sandbox(home) as gateway:
        async with setting(settings, await fresh_databases()) as scene, EvolutionGateway(gateway.url, KEY) as evolution:
            scene.app.state.gateway = evolution
            yield scene


@pytest.fixture(scope="package")
async def standing(scene: Scene) -> SetStage:
    """The one stage of each principal that is only looked at: ``await standing("agent")``."""
    stages: dict[str, Stage] = {}

    async def find(principal: str) -> Stage:
        if principal not in stages:
            stages[principal] = await set_stage(scene, principal)
        return stages[principal]

    return find
