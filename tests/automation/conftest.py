"""A reception on which rules may act."""

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.settings import Settings
from tests.automation.reception import Reception
from tests.identity.tokens import set_plan
from tests.support.world import Member, Workspace, add_agent


@pytest.fixture
async def reception(app: Litestar, client: AsyncClient, settings: Settings, lucia_studios: Workspace) -> Reception:
    """Lúcia's, on the business plan; nobody said yet to be available."""
    await set_plan(lucia_studios.kernel, lucia_studios.tenant, "business")
    return Reception(lucia_studios, settings, client, app)


@pytest.fixture
async def bia(entrance: Entrance, lucia_studios: Workspace) -> Member:
    """Another agent of Lúcia's."""
    return await add_agent(entrance, lucia_studios, "Bia")


@pytest.fixture
async def caio(entrance: Entrance, lucia_studios: Workspace) -> Member:
    """A third."""
    return await add_agent(entrance, lucia_studios, "Caio")
