"""By when customers are to be answered."""

from litestar import Controller
from litestar.params import JSONBody

from plixa.inbox.commands.targets import UpdateSla, update_sla_config
from plixa.inbox.queries.targets import SlaConfigView, get_sla_config
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get, put


class SlaConfigController(Controller):
    path = "/sla-config"
    tags = ("SLA targets",)

    @get("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[SlaConfigView]:
        """The targets, in seconds."""
        return Data(await get_sla_config(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateSla]) -> Data[SlaConfigView]:
        """Update the workspace SLA targets; episodes that have begun keep theirs."""
        await update_sla_config(uow, data)
        return Data(await get_sla_config(uow))
