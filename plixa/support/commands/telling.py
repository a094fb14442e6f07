"""Mails to staff of what customers write; through the platform's own outbox, in English unless they prefer another language."""

from functools import partial

from plixa.kernel.audit import PLATFORM
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.support.commands.desk import excerpt
from plixa.support.queries.recipients import Colleague, News, list_colleagues


async def tell_colleagues(kernel: Kernel, settings: Settings, news: News, message: int) -> None:
    """Write to whoever should answer; for the same message nobody is written to twice."""
    colleagues = await list_colleagues(kernel.system, news.assigned_to)
    async with working(kernel, PLATFORM, request_id=f"ticket-message-{message}") as uow:
        await perform(uow, partial(write, uow, settings, news, {f"ticket_news/{message}/{one.id}": one for one in colleagues}))


async def write(uow: UnitOfWork, settings: Settings, news: News, letters: dict[str, Colleague]) -> None:
    """A mail each, by its key."""
    link = f"{settings.public_url}/admin/support/tickets/{news.ticket}"
    about = {"workspace": news.workspace, "ticket": news.subject, "author": news.author, "excerpt": excerpt(news.body), "link": link}
    for key, one in letters.items():
        send_mail(uow, key, Mail("ticket_news", one.email, one.locale, {"name": one.name, **about}))
