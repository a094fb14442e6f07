"""Departments."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.workspace.commands.sectors import CreateSector, UpdateSector, create_sector, delete_sector, update_sector
from plixa.workspace.queries.sectors import SectorView, get_sector, list_sectors


class SectorController(Controller):
    path = "/sectors"
    tags = ("Sectors",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow) -> Data[list[SectorView]]:
        """List the sectors, who works in each, and how many conversations wait there."""
        return Data(await list_sectors(uow))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[CreateSector]) -> Data[SectorView]:
        """Create a sector."""
        return Data(await create_sector(uow, data))

    @get("/{sector:int}", access=Access.MEMBER)
    async def show(self, uow: Uow, sector: FromPath[int]) -> Data[SectorView]:
        """Show one sector."""
        return Data(await get_sector(uow, sector))

    @put("/{sector:int}", access=Access.OWNER)
    async def update(self, uow: Uow, sector: FromPath[int], data: JSONBody[UpdateSector]) -> Data[SectorView]:
        """Update a sector; `user_ids` replaces who works in it."""
        return Data(await update_sector(uow, sector, data))

    @delete("/{sector:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, sector: FromPath[int]) -> None:
        """Delete a sector; its conversations keep their history and lose the tag."""
        await delete_sector(uow, sector)
