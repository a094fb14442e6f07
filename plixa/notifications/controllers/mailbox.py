"""Routes: the local mailbox, for whoever develops or tries Plixa."""

from typing import Annotated, Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Machinery, get
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings
from plixa.notifications.queries.mailbox import MailView, list_mailbox, refuse_strangers

Address = Annotated[str | None, QueryParameter(max_length=320, description="Only mails to this address.")]


class MailboxController(Controller):
    path = "/dev/mailbox"
    tags = ("Development",)

    @get("/", access=Access.PUBLIC, security=[{}])
    async def list(
        self,
        request: Request[Any, Any, Any],
        kernel: Machinery,
        settings: NamedDependency[Settings],
        paging: PageWanted,
        to: Address = None,
    ) -> Data[list[MailView]]:
        """List the mails that would have been sent, newest first. Only while no mailer is set, on this machine, never in production."""
        refuse_strangers(settings, request.url.hostname)
        return Data(*await list_mailbox(kernel, paging, to))
