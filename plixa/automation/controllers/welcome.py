"""The greeting of a contact's first message."""

from litestar import Controller
from litestar.params import JSONBody

from plixa.automation.commands.welcome import UpdateWelcome, update_welcome_config
from plixa.automation.queries.welcome import WelcomeConfigView, get_welcome_config
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put


class WelcomeConfigController(Controller):
    path = "/welcome-config"
    tags = ("Welcome message",)

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[WelcomeConfigView]:
        """The greeting, and how long it waits."""
        return Data(await get_welcome_config(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateWelcome]) -> Data[WelcomeConfigView]:
        """Update the welcome message configuration."""
        await update_welcome_config(uow, data)
        return Data(await get_welcome_config(uow))
