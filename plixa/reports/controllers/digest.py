"""The digest an owner gets by mail."""

from litestar import Controller
from litestar.params import JSONBody

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, get, post, put
from plixa.reports.commands.digest import UpdateDigestConfig, try_digest, update_digest_config
from plixa.reports.queries.digest import DigestConfigView, get_digest_config


class DigestController(Controller):
    path = "/digest-config"
    tags = ("Daily digest",)

    @get("/", access=Access.OWNER)
    async def show(self, uow: Uow) -> Data[DigestConfigView]:
        """Whether a digest goes out, how often, and when next."""
        return Data(await get_digest_config(uow))

    @put("/", access=Access.OWNER, summary="Update the daily digest configuration")
    async def update(self, uow: Uow, data: JSONBody[UpdateDigestConfig]) -> Data[DigestConfigView]:
        """Turn the digest on, from tomorrow's run at 09:00 UTC on, or off."""
        await update_digest_config(uow, data)
        return Data(await get_digest_config(uow))

    @post("/test", access=Access.OWNER, throttle="digest_test", status_code=204)
    async def test(self, uow: Uow, caller: Caller) -> None:
        """Send a one-off "test" digest to the current authenticated user."""
        await try_digest(uow, caller)
