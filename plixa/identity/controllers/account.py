"""Routes: who am I, what is mine to change, and where I am signed in."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from plixa.identity.commands.account import (
    AccountUpdate,
    Availability,
    beat,
    end_other_sessions,
    end_session,
    set_availability,
    update_account,
)
from plixa.identity.queries.availability import AvailabilityView, get_availability
from plixa.identity.queries.members import SessionView, get_session
from plixa.identity.queries.sessions import OwnSessionView, list_sessions
from plixa.kernel.auth import DELETING, UNENROLLED, Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Caller, Uow, delete, get, patch, post, put
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings


class AccountController(Controller):
    path = "/me"
    tags = ("Account",)

    @get("/", access=Access.MEMBER, even={UNENROLLED}, summary="Current user and workspace")
    async def me(self, uow: Uow, caller: Caller, settings: NamedDependency[Settings]) -> Data[SessionView]:
        """Who is signed in, and where: one call for the panel to start with."""
        return Data(await get_session(uow, caller.user_id, settings))

    @patch("/", access=Access.MEMBER, summary="Update the current user's preferences")
    async def update(
        self,
        request: Request[Any, Any, Any],
        uow: Uow,
        caller: Caller,
        settings: NamedDependency[Settings],
        data: JSONBody[AccountUpdate],
    ) -> Data[SessionView]:
        """Change my name or language; what is not given stays."""
        await update_account(uow, caller, data)
        uow.after_commit(request.app.state.gatekeeper.forget)
        return Data(await get_session(uow, caller.user_id, settings))

    @get("/availability", access=Access.MEMBER, summary="Whether I'm accepting new conversations")
    async def availability(self, uow: Uow, caller: Caller) -> Data[AvailabilityView]:
        """`online` while my panel gave a sign of life in the last two minutes."""
        return Data(await get_availability(uow, caller.user_id))

    @put("/availability", access=Access.MEMBER, own=True, summary="Set whether I'm accepting new conversations")
    async def set_availability(self, uow: Uow, caller: Caller, data: JSONBody[Availability]) -> Data[AvailabilityView]:
        """Only new conversations: those I have stay mine."""
        await set_availability(uow, caller, data)
        return Data(await get_availability(uow, caller.user_id))

    @post(
        "/availability/heartbeat",
        access=Access.MEMBER,
        even={DELETING},
        audited=False,
        summary="Presence heartbeat from the open panel",
        status_code=204,
    )
    async def heartbeat(self, uow: Uow, caller: Caller) -> None:
        """Call it every 30 seconds while the panel is open."""
        await beat(uow, caller)

    @get("/sessions", access=Access.MEMBER, own=True, summary="Where I am signed in")
    async def sessions(self, uow: Uow, caller: Caller, paging: PageWanted) -> Data[list[OwnSessionView]]:
        """My sessions in the panel, newest first."""
        return Data(*await list_sessions(uow, caller, paging))

    @delete("/sessions", access=Access.MEMBER, own=True, even={DELETING}, summary="Sign out everywhere else")
    async def end_others(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller) -> None:
        """End my every session but this one."""
        await end_other_sessions(uow, caller)
        uow.after_commit(request.app.state.gatekeeper.forget)

    @delete("/sessions/{session:int}", access=Access.MEMBER, own=True, even={DELETING}, summary="End one of my sessions")
    async def end(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller, session: FromPath[int]) -> None:
        """Sign out there."""
        await end_session(uow, caller, session)
        uow.after_commit(request.app.state.gatekeeper.forget)
