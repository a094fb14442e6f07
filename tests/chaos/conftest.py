"""Servers that tests may kill, apart from the suite's."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from plixa.kernel.uow import Kernel
from tests.chaos.world import Place, http, place_at


@pytest.fixture(scope="session")
def chaos_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Servers that one pytest process has to itself."""
    with place_at(tmp_path_factory.mktemp("chaos")) as place:
        yield place


@pytest.fixture
async def chaos_kernel(chaos_place: Place) -> AsyncIterator[Kernel]:
    """This process's eyes on those servers."""
    async with chaos_place.machinery() as machinery:
        yield machinery.kernel


@pytest.fixture
async def caller() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the web processes."""
    async with http() as client:
        yield client
