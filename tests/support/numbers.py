"""WhatsApp numbers that are connected, without a gateway: as webhooks have told."""

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.whatsapp.client import TOKEN_HEADER
from plixa.whatsapp.commands.instances import NewInstance, add_instance, hear, webhook_secret
from plixa.whatsapp.domain import ConnectionChanged
from plixa.whatsapp.domain.instance import Heard
from tests.support.world import Workspace

NAME = "SELECT gateway_name FROM phone_instance WHERE tenant_id = scope.tenant AND id = $2"


class Number(Struct, frozen=True):
    """A connected number: what the gateway calls it, and the secret its webhooks carry."""

    id: int
    name: str
    secret: str

    @property
    def path(self) -> str:
        """Where its webhooks go."""
        return f"/v1/webhooks/evolution/{self.name}"

    @property
    def headers(self) -> dict[str, str]:
        """What its webhooks carry."""
        return {TOKEN_HEADER: self.secret}


async def connect_number(settings: Settings, workspace: Workspace) -> Number:
    """A new number of a workspace, paired at once."""
    roomy = replace(settings, default_plan="business")
    async with working(workspace.kernel, workspace.tenant, workspace.owner.actor) as uow:

        async def add() -> tuple[int, str]:
            number = (await add_instance(uow, roomy, NewInstance())).id
            row = await uow.fetchrow(NAME, number)
            return number, str(row["gateway_name"]) if row else ""

        number, name = await perform(uow, add)
        await perform(uow, lambda: open_up(uow, number))
    return Number(number, name, webhook_secret(settings, name))


async def open_up(uow: UnitOfWork, number: int) -> None:
    """The gateway says that the phone is paired."""
    await hear(uow, number, ConnectionChanged(state="open", number="5511930000000"), Heard(datetime.now(UTC)))
