"""Who gives services, and when."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put
from plixa.scheduling.commands.schedules import ReplaceBaseSchedule, ReplaceSchedule, replace_base_schedule, replace_schedule
from plixa.scheduling.queries.schedules import (
    BaseScheduleView,
    ProviderView,
    ScheduleView,
    get_base_schedule,
    get_schedule,
    list_providers,
)


class ProviderController(Controller):
    path = "/scheduling/providers"
    tags = ("Scheduling — provider availability",)

    @get("/", access=Access.MEMBER)
    async def index(self, uow: Uow) -> Data[list[ProviderView]]:
        """List the members as providers: their services, and whether they have hours."""
        return Data(await list_providers(uow))

    @get("/{user:int}/schedule", access=Access.MEMBER)
    async def show(self, uow: Uow, user: FromPath[int]) -> Data[ScheduleView]:
        """Show a provider's hours."""
        return Data(await get_schedule(uow, user))

    @put("/{user:int}/schedule", access=Access.OWNER)
    async def replace(self, uow: Uow, user: FromPath[int], data: JSONBody[ReplaceSchedule]) -> Data[ScheduleView]:
        """Replace a provider's hours as a whole."""
        await replace_schedule(uow, user, data)
        return Data(await get_schedule(uow, user))


class BaseScheduleController(Controller):
    path = "/scheduling/default-schedule"
    tags = ("Scheduling — base schedule",)

    @get("/", access=Access.OWNER)
    async def show(self, uow: Uow) -> Data[BaseScheduleView]:
        """The week that is proposed for providers."""
        return Data(await get_base_schedule(uow))

    @put("/", access=Access.OWNER)
    async def replace(self, uow: Uow, data: JSONBody[ReplaceBaseSchedule]) -> Data[BaseScheduleView]:
        """Replace the week that is proposed for providers; it changes nobody's hours."""
        await replace_base_schedule(uow, data)
        return Data(await get_base_schedule(uow))
