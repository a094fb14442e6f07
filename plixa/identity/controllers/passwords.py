"""Routes: a forgotten password, and a new one."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import JSONBody

from plixa.identity.commands.passwords import (
    ForgottenPassword,
    PasswordChange,
    PasswordReset,
    ask_for_reset,
    change_password,
    reset_password,
)
from plixa.identity.commands.sessions import Entrance
from plixa.kernel.auth import DELETING, Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, post, put


class PasswordController(Controller):
    path = "/"
    tags = ("Authentication",)

    @post("/auth/forgot-password", access=Access.PUBLIC, security=[{}], summary="Ask for a link to reset a password", status_code=202)
    async def forgot(self, entrance: NamedDependency[Entrance], data: JSONBody[ForgottenPassword]) -> Data[None]:
        """Whoever has the address gets a mail with a link that works once, for an hour. The answer is always the same."""
        await ask_for_reset(entrance, data)
        return Data(None)

    @post(
        "/auth/reset-password",
        access=Access.PUBLIC,
        throttle="reset_password",
        security=[{}],
        summary="Reset a password",
        status_code=204,
    )
    async def reset(self, request: Request[Any, Any, Any], entrance: NamedDependency[Entrance], data: JSONBody[PasswordReset]) -> None:
        """Set a new password with the token of a mailed link. Every session ends; a second factor stays on."""
        await reset_password(entrance, data)
        request.app.state.gatekeeper.forget()

    @put("/me/password", access=Access.MEMBER, own=True, even={DELETING}, tags=["Account"], summary="Change my password", status_code=204)
    async def change(
        self, request: Request[Any, Any, Any], uow: Uow, entrance: NamedDependency[Entrance], data: JSONBody[PasswordChange]
    ) -> None:
        """Set my password. My every other session ends."""
        await change_password(uow, entrance, data)
        uow.after_commit(request.app.state.gatekeeper.forget)
