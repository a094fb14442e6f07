"""When customers are reminded."""

from litestar import Controller
from litestar.params import JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put
from plixa.scheduling.commands.reminder_config import UpdateReminderConfig, update_reminder_config
from plixa.scheduling.queries.reminder_config import ReminderConfigView, get_reminder_config


class ReminderConfigController(Controller):
    path = "/scheduling/reminder-config"
    tags = ("Scheduling — reminders",)

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[ReminderConfigView]:
        """How long before their appointments customers are reminded."""
        return Data(await get_reminder_config(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateReminderConfig]) -> Data[ReminderConfigView]:
        """Set how long before their appointments customers are reminded; an empty list is never."""
        await update_reminder_config(uow, data)
        return Data(await get_reminder_config(uow))
