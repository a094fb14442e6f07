"""What customers can book."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.kernel.paging import PageWanted
from plixa.scheduling.commands.services import CreateService, UpdateService, create_service, delete_service, update_service
from plixa.scheduling.queries.services import ServiceView, get_service, list_services


class ServiceController(Controller):
    path = "/scheduling/services"
    tags = ("Scheduling — services",)

    @get("/", access=Access.MEMBER, ability="read")
    async def index(self, uow: Uow, paging: PageWanted) -> Data[list[ServiceView]]:
        """List the services by name, with who gives each and what it takes."""
        return Data(*await list_services(uow, paging))

    @post("/", access=Access.OWNER)
    async def create(self, uow: Uow, data: JSONBody[CreateService]) -> Data[ServiceView]:
        """Create a service."""
        return Data(await create_service(uow, data))

    @get("/{service:int}", access=Access.MEMBER, ability="read")
    async def show(self, uow: Uow, service: FromPath[int]) -> Data[ServiceView]:
        """Show one service."""
        return Data(await get_service(uow, service))

    @put("/{service:int}", access=Access.OWNER)
    async def update(self, uow: Uow, service: FromPath[int], data: JSONBody[UpdateService]) -> Data[ServiceView]:
        """Update a service, for what is booked from now on; what is not given stays."""
        return Data(await update_service(uow, service, data))

    @delete("/{service:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, service: FromPath[int]) -> None:
        """Delete a service; what was booked stays."""
        await delete_service(uow, service)
