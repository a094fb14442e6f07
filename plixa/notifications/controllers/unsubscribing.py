"""Routes: a reader wants no more news. Looking at the page changes nothing: mail programs follow links by themselves."""

from functools import partial

from litestar import Controller, Response
from litestar.params import FromPath

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import Access
from plixa.kernel.http import Machinery, get, post
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import perform, working
from plixa.notifications.commands.suppressing import read_token, unsubscribe
from plixa.notifications.domain.pages import HEADERS, unsubscribe_page

HTML = "text/html"


class UnsubscribeController(Controller):
    path = "/email/unsubscribe/{link_token:str}"
    tags = ("E-mail",)

    @get("/", access=Access.PUBLIC, security=[{}], throttle="unsubscribe", summary="Ask whether to unsubscribe", media_type="text/html")
    async def ask(self, kernel: Machinery, link_token: FromPath[str]) -> Response[str]:
        """A page with one button. The link came with a mail; nobody signs in."""
        reader = read_token(kernel.vault, link_token)
        return Response(unsubscribe_page(reader.locale, is_done=False), media_type=HTML, headers=HEADERS)

    @post(
        "/",
        access=Access.PUBLIC,
        security=[{}],
        throttle="unsubscribe",
        status_code=200,
        summary="Unsubscribe an address",
        media_type="text/html",
    )
    async def confirm(self, kernel: Machinery, link_token: FromPath[str]) -> Response[str]:
        """No more news to this address, by the button of the page or a mail program's own (RFC 8058)."""
        reader = read_token(kernel.vault, link_token)
        async with working(kernel, PLATFORM, request_id=current_request_id()) as uow:
            await perform(uow, partial(unsubscribe, uow, reader))
        return Response(unsubscribe_page(reader.locale, is_done=True), media_type=HTML, headers=HEADERS)
