"""What requests of articles, campaigns and other work of the backoffice name."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from httpx import Request

from plixa.backoffice.commands.campaigns import CreateCampaign, create_campaign
from plixa.kernel.audit import PLATFORM
from plixa.kernel.event_store import Actor
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.notifications.commands.suppressing import Reader, unsubscribe_token
from plixa.support.commands.articles import CreateArticle, UpdateArticle, create_article, update_article
from tests.authorization.making import Maker, fixed, thing
from tests.authorization.stage import Stage
from tests.notifications.svix import signature

T = TypeVar("T")
SAM = Actor("staff", 1, "Sam")
NEWS = {"type": "email.bounced", "created_at": "2026-03-01T12:00:00Z", "data": {"to": ["nobody@example.com"], "tags": {"recipient": "1"}}}
DELIVERY = "msg_1"


async def by_staff(stage: Stage, act: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Something Plixa's staff do."""
    async with working(stage.kernel, PLATFORM, SAM) as uow:
        return await perform(uow, lambda: act(uow))


async def article(stage: Stage) -> int:
    """Published, and saved twice."""
    settings = stage.scene.entrance.settings
    wanted = CreateArticle(title=stage.canary, body=stage.canary, category="Numbers", locale="en", status="published")
    number = (await by_staff(stage, lambda uow: create_article(uow, settings, wanted))).id
    await by_staff(stage, lambda uow: update_article(uow, settings, number, UpdateArticle(position=1)))
    return number


async def slug(stage: Stage) -> str:
    """Of that article."""
    await thing(stage, "article")
    return stage.canary


async def campaign(stage: Stage) -> int:
    """To one address."""
    wanted = CreateCampaign(subject=stage.canary, body=stage.canary, audience="emails", audience_value=[f"{stage.canary}@example.com"])
    return (await by_staff(stage, lambda uow: create_campaign(uow, stage.scene.entrance.settings, wanted))).id


async def link_token(stage: Stage) -> str:
    """What stands in a reader's link."""
    return unsubscribe_token(stage.kernel.vault, Reader(f"{stage.canary}@example.com", "en"))


async def svix_timestamp(_stage: Stage) -> str:
    return str(int(time.time()))


async def svix_signature(stage: Stage) -> str:
    """Of the news, as the client writes them."""
    body = Request("POST", "http://x", json=NEWS).content
    return signature(DELIVERY, body, int(await thing(stage, "svix_timestamp")))


makers: tuple[Callable[[Stage], Awaitable[Any]], ...] = (article, slug, campaign, link_token, svix_timestamp, svix_signature)
THINGS: dict[str, Maker] = {"version": fixed(1), "news": fixed(NEWS), **{make.__name__: make for make in makers}}
