"""The end of a workspace, and its cancellation."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.auth import DELETING, Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post
from plixa.workspace.commands.deletion import DeleteWorkspace, cancel_deletion, schedule_deletion
from plixa.workspace.queries.deletion import DeletionView, get_deletion


class DeletionController(Controller):
    path = "/account/deletion"
    tags = ("Account",)

    @get("/", access=Access.OWNER)
    async def show(self, uow: Uow) -> Data[DeletionView]:
        """Whether the workspace is about to be deleted, and when."""
        return Data(await get_deletion(uow))

    @post("/", access=Access.OWNER, own=True, even={DELETING}, status_code=200)
    async def schedule(self, uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[DeleteWorkspace]) -> Data[DeletionView]:
        """Schedule the workspace for permanent deletion in 30 days; nothing is sent any more."""
        await schedule_deletion(uow, entrance, data)
        return Data(await get_deletion(uow))

    @delete("/", access=Access.OWNER, own=True, even={DELETING}, status_code=200)
    async def cancel(self, uow: Uow) -> Data[DeletionView]:
        """Cancel a scheduled deletion and restore the workspace."""
        await cancel_deletion(uow)
        return Data(await get_deletion(uow))
