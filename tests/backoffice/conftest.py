"""Bruna is of Plixa's staff."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.settings import Settings
from tests.backoffice.crew import Staff, hire


@pytest.fixture
async def bruna(app: Litestar, entrance: Entrance, client: AsyncClient) -> Staff:
    """Signed in, in an application that remembers nothing of the test before."""
    app.state.gatekeeper.forget()
    return await hire(entrance, client, "Bruna")


@pytest.fixture
def command_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """The ``plixa`` command on the tests' own database."""
    for name in [name for name in os.environ if name.startswith("PLIXA_")]:
        monkeypatch.delenv(name)
    with TemporaryDirectory(prefix="plixa-test-") as home:
        given = {"DATABASE_URL": str(settings.database_url), "REDIS_URL": str(settings.redis_url), "HOME": str(Path(home))}
        for name, wanted in (given | {"SECRET_KEY": "a key for tests and for nothing else whatever"}).items():
            monkeypatch.setenv(f"PLIXA_{name}", wanted)
        yield CliRunner()
