"""Rooms and equipment that services take."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.kernel.paging import PageWanted
from plixa.scheduling.commands.resources import CreateResource, UpdateResource, create_resource, delete_resource, update_resource
from plixa.scheduling.queries.resources import ResourceView, get_resource, list_resources


class ResourceController(Controller):
    path = "/scheduling/resources"
    tags = ("Scheduling — resources",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow, paging: PageWanted) -> Data[list[ResourceView]]:
        """List the resources by name, and the services that take each."""
        return Data(*await list_resources(uow, paging))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[CreateResource]) -> Data[ResourceView]:
        """Create a resource."""
        return Data(await create_resource(uow, data))

    @get("/{resource:int}", access=Access.MEMBER)
    async def show(self, uow: Uow, resource: FromPath[int]) -> Data[ResourceView]:
        """Show one resource."""
        return Data(await get_resource(uow, resource))

    @put("/{resource:int}", access=Access.OWNER)
    async def update(self, uow: Uow, resource: FromPath[int], data: JSONBody[UpdateResource]) -> Data[ResourceView]:
        """Update a resource; where there is room for fewer, what was booked stays."""
        return Data(await update_resource(uow, resource, data))

    @delete("/{resource:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, resource: FromPath[int]) -> None:
        """Delete a resource; what was booked stays."""
        await delete_resource(uow, resource)
