"""Public holidays."""

from litestar import Controller
from litestar.params import JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put
from plixa.scheduling.commands.holidays import UpdateHolidayConfig, update_holiday_config
from plixa.scheduling.queries.holidays import HolidayConfigView, get_holiday_config


class HolidayConfigController(Controller):
    path = "/scheduling/holiday-config"
    tags = ("Scheduling — holidays",)

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[HolidayConfigView]:
        """Whether public holidays close the workspace, and which come next."""
        return Data(await get_holiday_config(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateHolidayConfig]) -> Data[HolidayConfigView]:
        """Close the workspace on public holidays, or no longer; saved again it imports them anew."""
        await update_holiday_config(uow, data)
        return Data(await get_holiday_config(uow))
