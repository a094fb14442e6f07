"""Routes: register, sign in by password and second factor, sign out."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody

from plixa.identity.commands.registering import Register, register
from plixa.identity.commands.sessions import Entrance, SignIn, sign_in, sign_out
from plixa.identity.commands.two_factor import Proof, complete_sign_in
from plixa.identity.queries.members import ChallengeView, SignedInView
from plixa.kernel.auth import DELETING, SUSPENDED, UNENROLLED, Access
from plixa.kernel.envelope import Data
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.http import Caller, Uow, post
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, UnitOfWork


async def provide_new_workspace(request: Request[Any, Any, Any]) -> UnitOfWork:
    """A unit of work for a tenant that is still to be."""
    kernel: Kernel = request.app.state.kernel
    return kernel.unit(await kernel.numbers.next("tenant_number"), SYSTEM, current_request_id())


class AuthenticationController(Controller):
    path = "/auth"
    tags = ("Authentication",)

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
    async def login(self, entrance: NamedDependency[Entrance], data: JSONBody[SignIn]) -> Data[SignedInView | ChallengeView]:
        """Get a token for the panel or, with a second factor, one to prove it with. An unknown e-mail and a wrong password get the
        same answer."""
        return Data(await sign_in(entrance, data))

    @post(
        "/2fa-challenge",
        access=Access.CHALLENGE,
        even={UNENROLLED, SUSPENDED, DELETING},
        summary="Prove the second factor",
        status_code=200,
    )
    async def prove(
        self, request: Request[Any, Any, Any], entrance: NamedDependency[Entrance], caller: Caller, data: JSONBody[Proof | None] = None
    ) -> Data[SignedInView]:
        """Complete a sign-in with a code of the authenticator app or a recovery code, one of the two. Five wrong ones end it."""
        try:
            return Data(await complete_sign_in(entrance, caller, data or Proof()))
        finally:
            request.app.state.gatekeeper.forget()

    @post("/logout", access=Access.MEMBER, even={UNENROLLED, SUSPENDED, DELETING}, summary="Sign out", status_code=204)
    async def logout(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller) -> None:
        """Revoke the token of this request; other tokens of the account keep working."""
        await sign_out(uow, caller)
        uow.after_commit(request.app.state.gatekeeper.forget)
