"""Lúcia needs help; Bruna and Caio of Plixa's staff give it."""

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.settings import Settings
from tests.backoffice.crew import Staff, hire
from tests.support.world import Workspace
from tests.support_desk.counter_side import Counter


@pytest.fixture
async def counter(client: AsyncClient, lucia_studios: Workspace, settings: Settings) -> Counter:
    """Lúcia's side."""
    return Counter(client, lucia_studios, settings)


@pytest.fixture
async def bruna(app: Litestar, entrance: Entrance, client: AsyncClient) -> Staff:
    """Signed in, in an application that remembers nothing of the test before."""
    app.state.gatekeeper.forget()
    return await hire(entrance, client, "Bruna")


@pytest.fixture
async def caio(entrance: Entrance, client: AsyncClient) -> Staff:
    """A colleague of Bruna's."""
    return await hire(entrance, client, "Caio")
