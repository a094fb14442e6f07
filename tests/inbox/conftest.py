"""Desks to work at."""

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.kernel.settings import Settings
from tests.inbox.desk import Desk
from tests.support.numbers import Number, connect_number
from tests.support.world import Workspace


@pytest.fixture
async def desk(app: Litestar, client: AsyncClient, lucia_studios: Workspace, connected_number: Number) -> Desk:
    """Lúcia's inbox, empty."""
    return Desk(lucia_studios, connected_number, client, app)


@pytest.fixture
async def other_desk(app: Litestar, client: AsyncClient, settings: Settings, other_tenant: Workspace) -> Desk:
    """The twin's inbox, empty."""
    return Desk(other_tenant, await connect_number(settings, other_tenant), client, app)
