"""Routes: sign-in of Plixa's staff."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import JSONBody

from plixa.backoffice.queries.staff import StaffView, get_staff
from plixa.identity.commands.sessions import Entrance, SignIn, sign_in, sign_out
from plixa.identity.queries.members import ChallengeView, SignedInView
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, get, post


class StaffAuthenticationController(Controller):
    path = "/admin"
    tags = ("Admin — Authentication",)

    @post("/auth/login", access=Access.PUBLIC, security=[{}], summary="Sign in as staff", status_code=200)
    async def login(self, entrance: NamedDependency[Entrance], data: JSONBody[SignIn]) -> Data[SignedInView | ChallengeView]:
        """A token that opens the backoffice and nothing else, or the demand for a second factor at ``/v1/auth/2fa-challenge``."""
        return Data(await sign_in(entrance, data, staff=True))

    @post("/auth/logout", access=Access.STAFF, summary="Sign out", status_code=204)
    async def logout(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller) -> None:
        """Revoke the token of this request."""
        await sign_out(uow, caller)
        uow.after_commit(request.app.state.gatekeeper.forget)

    @get("/me", access=Access.STAFF, summary="Who of the staff is signed in")
    async def me(self, uow: Uow, caller: Caller) -> Data[StaffView]:
        """The caller's own account."""
        return Data(await get_staff(uow, caller.user_id))
