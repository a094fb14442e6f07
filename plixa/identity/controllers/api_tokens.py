"""Routes: tokens for integrations."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from plixa.identity.commands.api_tokens import NewApiToken, create_api_token, revoke_api_token
from plixa.identity.queries.api_tokens import ApiTokenView, NewApiTokenView, list_api_tokens
from plixa.identity.queries.tokens import FEATURE
from plixa.kernel.auth import DELETING, Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, delete, get, post
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings


class ApiTokenController(Controller):
    path = "/api-tokens"
    tags = ("API tokens",)

    @get("/", access=Access.OWNER, feature=FEATURE, own=True, summary="List the API tokens")
    async def list(self, uow: Uow, paging: PageWanted) -> Data[list[ApiTokenView]]:
        """The tokens made for integrations, never those of people who signed in."""
        return Data(*await list_api_tokens(uow, paging))

    @post("/", access=Access.OWNER, feature=FEATURE, own=True, summary="Create a new API token")
    async def create(
        self, uow: Uow, caller: Caller, settings: NamedDependency[Settings], data: JSONBody[NewApiToken]
    ) -> Data[NewApiTokenView]:
        """The plain-text token is returned once, here: copy it now."""
        return Data(await create_api_token(uow, settings, caller, data))

    @delete("/{token:int}", access=Access.OWNER, feature=FEATURE, own=True, even={DELETING}, summary="Revoke an API token")
    async def revoke(self, request: Request[Any, Any, Any], uow: Uow, token: FromPath[int]) -> None:
        """The token stops authenticating at once."""
        await revoke_api_token(uow, token)
        uow.after_commit(request.app.state.gatekeeper.forget)
