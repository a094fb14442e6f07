"""What staff are told outside of their panel: mails and notifications, through the platform's own outbox, in English unless they prefer
another language.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from plixa.kernel.audit import PLATFORM
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.notifications.commands.push import tell
from plixa.notifications.queries.push import list_hearers
from plixa.support.commands.desk import excerpt
from plixa.support.queries.notices import ASSIGNMENT, NEWS
from plixa.support.queries.recipients import Colleague, News, list_colleagues


async def tell_colleagues(kernel: Kernel, settings: Settings, news: News) -> None:
    """Tell whoever should answer; of the same message nobody is told twice."""
    colleagues = await list_colleagues(kernel.system, news.assigned_to)
    async with working(kernel, PLATFORM, request_id=f"ticket-message-{news.message}") as uow:
        await perform(uow, partial(write, uow, settings, news, colleagues))


async def write(uow: UnitOfWork, settings: Settings, news: News, colleagues: list[Colleague]) -> None:
    """A mail to each, and a notification to their browsers."""
    link = f"{settings.public_url}/admin/support/tickets/{news.ticket}"
    about = {"workspace": news.workspace, "ticket": news.subject, "author": news.author, "excerpt": excerpt(news.body), "link": link}
    for one in colleagues:
        send_mail(uow, f"ticket_news/{news.message}/{one.id}", Mail("ticket_news", one.email, one.locale, {"name": one.name, **about}))
    place = {"workspace_id": news.tenant, "ticket_id": news.ticket, "message_id": news.message}
    await notify(uow, (one.id for one in colleagues), NEWS, news.at, place)


async def tell_assignee(kernel: Kernel, staff: int, at: datetime, place: dict[str, int]) -> None:
    """Tell one of the staff that a ticket was given to them."""
    async with working(kernel, PLATFORM, request_id=f"ticket-{place['ticket_id']}") as uow:
        await perform(uow, partial(notify, uow, [staff], ASSIGNMENT, at, place))


async def notify(uow: UnitOfWork, people: Iterable[int], about: str, at: datetime, place: dict[str, int]) -> None:
    """Have the browsers of some of ``uow``'s people told."""
    wanted = set(people)
    for hearer in await list_hearers(uow):
        if hearer.id in wanted:
            tell(uow, hearer, about, at, place)
