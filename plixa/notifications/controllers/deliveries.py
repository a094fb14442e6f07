"""Routes: Resend tells how our mails fared."""

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from litestar import Controller, Request
from litestar.di import NamedDependency

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.errors import NotFound
from plixa.kernel.http import Machinery, post
from plixa.kernel.requests import current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from plixa.notifications.commands.deliveries import take_news
from plixa.notifications.domain.deliveries import check_signature, read_news

LARGEST: Final = 256 * 1024
"""Bytes of a delivery."""


class ResendWebhookController(Controller):
    path = "/webhooks"
    tags = ("Webhooks (inbound)",)

    @post(
        "/resend",
        access=Access.GATEWAY,
        status_code=200,
        security=[],
        audited=False,
        request_max_body_size=LARGEST,
        summary="Resend tells how a mail fared",
    )
    async def receive(self, request: Request[Any, Any, Any], kernel: Machinery, settings: NamedDependency[Settings]) -> Data[None]:
        """Signed as Svix does, with the secret of `PLIXA_RESEND_WEBHOOK_SECRET`; without one there is no such route."""
        if settings.resend_webhook_secret is None:
            raise NotFound
        body = await request.body()
        number = check_signature(settings.resend_webhook_secret, request.headers, body, datetime.now(UTC))
        news = read_news(body)
        if news is not None:
            async with working(kernel, PLATFORM, request_id=current_request_id()) as uow:
                await perform(uow, partial(take_news, uow, number, news))
        return Data(None)
