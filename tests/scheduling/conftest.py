"""A salon for every test."""

from collections.abc import AsyncIterator, Iterator

import pytest
from httpx import AsyncClient
from litestar import Litestar
from msgspec.structs import replace

from plixa.app import create_app
from plixa.kernel.settings import Settings
from tests.scheduling.fake_google import CLIENT, FakeGoogle
from tests.scheduling.outside import Outside
from tests.scheduling.salon import Salon
from tests.support.apps import calling, started
from tests.support.world import Member, Workspace


@pytest.fixture
async def salon(client: AsyncClient, lucia_studios: Workspace, lucia: Member, ana: Member) -> Salon:
    """Lúcia's, in which she and Ana work."""
    salon = Salon(lucia_studios, client)
    await salon.employ(lucia, ana)
    return salon


@pytest.fixture(scope="session")
def google_server() -> Iterator[FakeGoogle]:
    """Google, for as long as the tests run."""
    with FakeGoogle().listening() as google:
        yield google


@pytest.fixture(scope="session")
def googled(settings: Settings, google_server: FakeGoogle) -> Settings:
    """A deployment that has keys of Google's."""
    keys = {f"google_{name}": value for name, value in CLIENT.items()}
    return replace(settings, google_api_base=google_server.url, google_oauth_base=google_server.url, **keys)


@pytest.fixture
def https(googled: Settings) -> Settings:
    """The same, where the world reaches it by https."""
    return replace(googled, public_url="https://chat.example.com")


@pytest.fixture(scope="session")
async def google_app(googled: Settings) -> AsyncIterator[Litestar]:
    """The application with keys of Google's."""
    async with started(create_app(googled)) as app:
        yield app


@pytest.fixture
def google(google_server: FakeGoogle) -> FakeGoogle:
    """Google as nobody has used it yet."""
    google_server.forget()
    return google_server


@pytest.fixture
async def outside(
    google_app: Litestar, google: FakeGoogle, googled: Settings, lucia_studios: Workspace, ana: Member
) -> AsyncIterator[Outside]:
    """Lúcia's salon, whose people may connect their calendars; what happens from now on is followed."""
    async with calling(google_app) as client:
        salon = Salon(lucia_studios, client)
        await salon.employ(lucia_studios.owner, ana)
        outside = Outside(salon, google, googled)
        await outside.follow()
        yield outside
