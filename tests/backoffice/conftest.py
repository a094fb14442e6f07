"""Bruna is of Plixa's staff."""

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from tests.backoffice.crew import Staff, hire


@pytest.fixture
async def bruna(app: Litestar, entrance: Entrance, client: AsyncClient) -> Staff:
    """Signed in, in an application that remembers nothing of the test before."""
    app.state.gatekeeper.forget()
    return await hire(entrance, client, "Bruna")
