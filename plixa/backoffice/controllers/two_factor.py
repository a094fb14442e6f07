"""Routes: the second factor of Plixa's staff, which is like a member's."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import JSONBody

from plixa.identity.commands.sessions import Entrance
from plixa.identity.commands.two_factor import (
    Confirm,
    Disable,
    PasswordAgain,
    RecoveryCodesView,
    RemainingView,
    Revoke,
    SetupView,
    confirm_two_factor,
    disable_two_factor,
    renew_recovery_codes,
    revoke_recovery_code,
    set_up_two_factor,
)
from plixa.identity.queries.two_factor import TwoFactorView, get_two_factor
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, delete, get, post


class StaffTwoFactorController(Controller):
    path = "/admin/me/2fa"
    tags = ("Admin — Authentication",)

    @get("/", access=Access.STAFF, summary="Second factor")
    async def status(self, uow: Uow, caller: Caller) -> Data[TwoFactorView]:
        """Whether it is on, set up but not confirmed, or off, and how many recovery codes are left."""
        return Data(await get_two_factor(uow, caller.user_id))

    @post("/setup", access=Access.STAFF, summary="Set up a second factor", status_code=200)
    async def setup(self, uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[PasswordAgain]) -> Data[SetupView]:
        """A fresh secret for an authenticator app. Nothing changes until it is confirmed, within ten minutes."""
        return Data(await set_up_two_factor(uow, entrance, data.password))

    @post("/confirm", access=Access.STAFF, summary="Confirm the second factor", status_code=200)
    async def confirm(
        self, request: Request[Any, Any, Any], uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[Confirm]
    ) -> Data[RecoveryCodesView]:
        """The first code switches it on; the recovery codes are shown this once, and all other sessions end."""
        codes = await confirm_two_factor(uow, entrance, data.code)
        uow.after_commit(request.app.state.gatekeeper.forget)
        return Data(codes)

    @delete("/", access=Access.STAFF, summary="Disable the second factor")
    async def disable(
        self, request: Request[Any, Any, Any], uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[Disable]
    ) -> None:
        """Secret and recovery codes are gone; all other sessions end."""
        await disable_two_factor(uow, entrance, data.password, data.code)
        uow.after_commit(request.app.state.gatekeeper.forget)

    @post("/recovery-codes", access=Access.STAFF, summary="Regenerate the recovery codes", status_code=200)
    async def renew(self, uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[PasswordAgain]) -> Data[RecoveryCodesView]:
        """Ten new codes, shown this once; the old ones stop working."""
        return Data(await renew_recovery_codes(uow, entrance, data.password))

    @post("/recovery-codes/revoke", access=Access.STAFF, summary="Revoke a single recovery code", status_code=200)
    async def revoke(self, uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[Revoke]) -> Data[RemainingView]:
        """One code that leaked stops working, the others go on; answers how many are left."""
        return Data(await revoke_recovery_code(uow, entrance, data.password, data.code))
