"""Holds: time kept for somebody while it is talked about."""

from litestar import Controller
from litestar.params import FromPath, JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, post
from plixa.scheduling.commands.holds import HoldSlot, HoldView, create_hold, release_hold


class HoldController(Controller):
    path = "/scheduling/holds"
    tags = ("Scheduling — appointments",)

    @post("/", access=Access.MEMBER, ability="write")
    async def create(self, uow: Uow, data: JSONBody[HoldSlot]) -> Data[HoldView]:
        """Keep a time for somebody for some minutes; book it with `hold_id`."""
        return Data(await create_hold(uow, data))

    @delete("/{hold:int}", access=Access.MEMBER, ability="write")
    async def release(self, uow: Uow, hold: FromPath[int]) -> None:
        """Let go of a time that was kept."""
        await release_hold(uow, hold)
