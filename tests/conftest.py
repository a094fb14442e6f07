"""The suite's servers, databases and world.

Commands commit for real: the event store's order, its locks and what happens after a commit exist only then. So tests
are kept apart not by rolling back but by tenants: every test that asks for ``lucia_studios`` gets a workspace of its
own. Every xdist worker has a database; a test that counts across tenants, or changes the schema, takes
``fresh_database``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from httpx import AsyncClient
from litestar import Litestar
from msgspec.structs import replace

from plixa.app import create_app
from plixa.identity.commands.sessions import Entrance
from plixa.kernel.assembly import Machinery, assemble
from plixa.kernel.embedded import Endpoints
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.settings import Passwords, Settings, Throttle, load_settings
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel
from projections.registry import INLINE
from tests.inbox.desk import Desk
from tests.support.apps import calling, cancelled_after, started
from tests.support.numbers import Number, connect_number
from tests.support.servers import on_redis_database, present_run, running, worker_number
from tests.support.world import Member, Workspace, add_agent, register_workspace

_databases = count()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the run in xdist's controller, or in the only process there is."""
    if not hasattr(config, "workerinput"):
        run = ExitStack()
        run.enter_context(running())
        config.add_cleanup(run.close)


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Endpoints]:
    """The run's servers."""
    with present_run().servers() as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
async def fresh_databases(endpoints: Endpoints) -> Callable[[], Awaitable[str]]:
    """Makes migrated databases: ``await fresh_databases()`` answers a URL."""
    return lambda: present_run().create_database(endpoints, worker_number() * 1000 + next(_databases))


@pytest.fixture
async def fresh_database(fresh_databases: Callable[[], Awaitable[str]]) -> str:
    """The URL of a migrated database for one test alone."""
    return await fresh_databases()


@pytest.fixture(scope="session")
async def settings(endpoints: Endpoints, fresh_databases: Callable[[], Awaitable[str]]) -> Settings:
    """As a deployment has them, with cheap passwords and throttles that nobody meets by accident."""
    redis_url = on_redis_database(endpoints.redis_url, worker_number() % 16)
    given = {
        "PLIXA_ENVIRONMENT": "test",
        "PLIXA_HOME": str(present_run().folder / f"worker-{worker_number()}"),
        "PLIXA_DATABASE_URL": await fresh_databases(),
        "PLIXA_REDIS_URL": redis_url,
        "PLIXA_SECRET_KEY": "a key for tests and for nothing else whatever",
        "PLIXA_RESEND_WEBHOOK_SECRET": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    }
    loaded = load_settings(given)
    wide = {name: Throttle(limits="1000000/second", per=one.per) for name, one in loaded.throttles.items()}
    cheap = Passwords(time_cost=1, memory_kib=8, parallelism=1)
    return replace(loaded, pool_size=8, throttles=wide, argon2=cheap)


@pytest.fixture(scope="session")
async def machinery(settings: Settings) -> AsyncIterator[Machinery]:
    """A process's machinery, running. Wake-ups are heard across the workers' numbered databases of Valkey."""
    machinery = assemble(settings, INLINE)
    async with cancelled_after(machinery.kernel.waker.run()), cancelled_after(machinery.listener.run()):
        yield machinery
    await machinery.kernel.database.close()
    await machinery.kernel.system.close()
    await machinery.redis.aclose()


@pytest.fixture(scope="session")
def kernel(machinery: Machinery) -> Kernel:
    """What the units of work of all tests share."""
    return machinery.kernel


@pytest.fixture(scope="session")
async def entrance(kernel: Kernel, settings: Settings) -> AsyncIterator[Entrance]:
    """What letting people in takes."""
    passwords, throttler = PasswordChecker(settings.argon2), Throttler(str(settings.redis_url))
    yield Entrance(kernel, settings, passwords, throttler)
    passwords.close()
    await throttler.close()


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    """The whole application, started."""
    async with started(create_app(settings)) as app:
        yield app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[AsyncClient]:
    """Calls the application; nobody is signed in: pass ``headers=ana.headers``."""
    async with calling(app) as client:
        yield client


@pytest.fixture
async def lucia_studios(entrance: Entrance) -> Workspace:
    """A workspace of this test alone; Lúcia owns it."""
    return await register_workspace(entrance, "Lúcia Studios", "Lucia")


@pytest.fixture
async def lucia(lucia_studios: Workspace) -> Member:
    """The owner."""
    return lucia_studios.owner


@pytest.fixture
async def ana(entrance: Entrance, lucia_studios: Workspace) -> Member:
    """An agent of Lúcia's."""
    return await add_agent(entrance, lucia_studios, "Ana")


@pytest.fixture
async def other_tenant(entrance: Entrance) -> Workspace:
    """A twin, to which everything of ``lucia_studios`` is unknown."""
    return await register_workspace(entrance, "Lúcia Studios", "Lucia")


@pytest.fixture
async def connected_number(settings: Settings, lucia_studios: Workspace) -> Number:
    """A WhatsApp number of Lúcia's, paired: webhooks go to its path and carry its secret."""
    return await connect_number(settings, lucia_studios)


@pytest.fixture
async def desk(app: Litestar, client: AsyncClient, lucia_studios: Workspace, connected_number: Number) -> Desk:
    """Lúcia's inbox, empty."""
    return Desk(lucia_studios, connected_number, client, app)


@pytest.fixture
async def other_desk(app: Litestar, client: AsyncClient, settings: Settings, other_tenant: Workspace) -> Desk:
    """The twin's inbox, empty."""
    return Desk(other_tenant, await connect_number(settings, other_tenant), client, app)
