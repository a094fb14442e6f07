"""The team: members, who is there, and invitations."""

from typing import Annotated, Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from plixa.identity.commands.sessions import Entrance
from plixa.identity.queries.members import SignedInView
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Machinery, Uow, delete, get, patch, post
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings
from plixa.workspace.commands.team import (
    AcceptInvitation,
    Invite,
    UpdateMember,
    accept_invitation,
    cancel_invitation,
    invite,
    remove_member,
    resend_invitation,
    update_member,
)
from plixa.workspace.queries.team import (
    AvailabilityView,
    InvitationView,
    MemberView,
    PreviewView,
    list_availability,
    list_invitations,
    list_members,
    preview_invitation,
)

Token = Annotated[str, QueryParameter(min_length=1, max_length=200)]


class TeamController(Controller):
    path = "/team"
    tags = ("Team",)

    @get("/members", access=Access.MEMBER)
    async def members(self, uow: Uow, settings: NamedDependency[Settings]) -> Data[list[MemberView]]:
        """List the members; meta says how many of the plan's seats are taken."""
        return Data(*await list_members(uow, settings))

    @patch("/members/{member:int}", access=Access.OWNER)
    async def update(self, uow: Uow, member: FromPath[int], data: JSONBody[UpdateMember]) -> Data[MemberView]:
        """Change how many open conversations auto-assignment gives a member at most."""
        return Data(await update_member(uow, member, data))

    @delete("/members/{member:int}", access=Access.OWNER)
    async def remove(self, request: Request[Any, Any, Any], uow: Uow, member: FromPath[int]) -> None:
        """Remove a member: their sessions end, their conversations are nobody's, their messages stay."""
        await remove_member(uow, member)
        uow.after_commit(request.app.state.gatekeeper.forget)

    @get("/availability", access=Access.OWNER)
    async def availability(self, uow: Uow) -> Data[list[AvailabilityView]]:
        """Who takes new conversations, who is there, and how many each has."""
        return Data(await list_availability(uow))

    @get("/invitations", access=Access.OWNER)
    async def invitations(self, uow: Uow, paging: PageWanted) -> Data[list[InvitationView]]:
        """List invitations, newest first."""
        return Data(*await list_invitations(uow, paging))

    @post("/invitations", access=Access.OWNER, own=True)
    async def invite(self, uow: Uow, settings: NamedDependency[Settings], data: JSONBody[Invite]) -> Data[InvitationView]:
        """Create an invitation; its `accept_url` is told in this answer and in the mail."""
        return Data(await invite(uow, settings, data))

    @delete("/invitations/{invitation:int}", access=Access.OWNER)
    async def cancel(self, uow: Uow, invitation: FromPath[int]) -> None:
        """Cancel a pending invitation."""
        await cancel_invitation(uow, invitation)

    @post("/invitations/{invitation:int}/resend", access=Access.OWNER, own=True, status_code=200)
    async def resend(self, uow: Uow, settings: NamedDependency[Settings], invitation: FromPath[int]) -> Data[InvitationView]:
        """Resend the invitation's mail: same link, same expiry."""
        return Data(await resend_invitation(uow, settings, invitation))

    @get("/invitations/accept", access=Access.PUBLIC, throttle="invitation", security=[{}])
    async def preview(self, kernel: Machinery, token: Token) -> Data[PreviewView]:
        """Who invites, and to what; for whoever has the link."""
        return Data(await preview_invitation(kernel.system, token))

    @post("/invitations/accept", access=Access.PUBLIC, throttle="invitation", security=[{}])
    async def accept(self, entrance: NamedDependency[Entrance], data: JSONBody[AcceptInvitation]) -> Data[SignedInView]:
        """Accept an invitation: a new member, signed in at once."""
        return Data(await accept_invitation(entrance, data))
