"""Routes: register, sign in, sign out, and who am I."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody

from plixa.identity.commands import Entrance, Register, SignIn, register, sign_in, sign_out
from plixa.identity.queries import SessionView, SignedInView, get_session
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.http import Caller, Uow, get, post
from plixa.kernel.requests import current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork


def provide_settings(request: Request[Any, Any, Any]) -> Settings:
    """What the deployment decided."""
    settings: Settings = request.app.state.settings
    return settings


def provide_entrance(request: Request[Any, Any, Any]) -> Entrance:
    """What letting people in takes."""
    state = request.app.state
    return Entrance(state.kernel, state.settings, state.passwords, state.throttler)


async def provide_new_workspace(request: Request[Any, Any, Any]) -> UnitOfWork:
    """A unit of work for a tenant that is still to be."""
    kernel: Kernel = request.app.state.kernel
    return kernel.unit(await kernel.numbers.next("tenant_number"), SYSTEM, current_request_id())


class AuthenticationController(Controller):
    path = "/auth"
    tags = ("Authentication",)
    dependencies = {"entrance": Provide(provide_entrance, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @post(
        "/register",
        access=Access.PUBLIC,
        security=[{}],
        summary="Register a new workspace",
        dependencies={"uow": Provide(provide_new_workspace)},
    )
    async def register(self, uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[Register]) -> Data[SignedInView]:
        """The workspace, its owner and a token for the panel, all at once or not at all."""
        return Data(await register(uow, entrance, data))

    @post("/login", access=Access.PUBLIC, security=[{}], summary="Sign in", status_code=200)
    async def login(self, entrance: NamedDependency[Entrance], data: JSONBody[SignIn]) -> Data[SignedInView]:
        """Get a token for the panel. An unknown e-mail and a wrong password get the same answer."""
        return Data(await sign_in(entrance, data))

    @post("/logout", access=Access.MEMBER, summary="Sign out", status_code=204)
    async def logout(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller) -> None:
        """Revoke the token of this request; other tokens of the account keep working."""
        await sign_out(uow, caller)
        uow.after_commit(request.app.state.gatekeeper.forget)


class AccountController(Controller):
    path = "/me"
    tags = ("Account",)
    dependencies = {"settings": Provide(provide_settings, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.MEMBER, summary="Current user and workspace")
    async def me(self, uow: Uow, caller: Caller, settings: NamedDependency[Settings]) -> Data[SessionView]:
        """Who is signed in, and where: one call for the panel to start with."""
        return Data(await get_session(uow, caller.user_id, settings))
