"""When customers are reminded, unless a service says otherwise."""

import pytest
from httpx import AsyncClient

from tests.scheduling.catalog import Catalog
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/reminder-config"


@pytest.fixture
def catalog(client: AsyncClient, lucia: Member) -> Catalog:
    return Catalog(client, lucia)


async def test_null_is_the_default_and_empty_is_never(catalog: Catalog, client: AsyncClient, ana: Member, lucia_studios: Workspace) -> None:
    default = {"offsets": None, "default_offsets": [1440, 120]}
    assert await Catalog(client, ana).do("GET", PATH) == default
    assert (await catalog.do("PUT", PATH, offsets=[]))["offsets"] == []
    assert (await catalog.do("PUT", PATH, offsets=[60, 43_200, 5]))["offsets"] == [43_200, 60, 5]
    assert (await catalog.do("PUT", PATH, offsets=[5, 60, 43_200]))["offsets"] == [43_200, 60, 5]
    assert (await Catalog(client, ana).call("PUT", PATH, json={"offsets": []})).status_code == 403
    assert await catalog.do("PUT", PATH, offsets=None) == default
    trail = await read_trail(client, lucia_studios, action="reminder_config.updated")
    assert [one["after"]["offsets"] for one in trail] == [None, [43_200, 60, 5], []]


@pytest.mark.parametrize(
    ("offsets", "field"),
    [([4], "offsets.0"), ([43_201], "offsets.0"), ([60, 60], "offsets"), ([5, 6, 7, 8, 9, 10], "offsets"), ("60", "offsets")],
)
async def test_times_that_make_no_sense_are_refused(catalog: Catalog, offsets: object, field: str) -> None:
    assert await catalog.fields("PUT", PATH, {"offsets": offsets}) == [field]
    assert await catalog.fields("PUT", PATH, {}) == ["offsets"]
